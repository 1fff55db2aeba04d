// Written by make docs, from models/counters.py.

export const COLUMNS = {
  "user": [
    [
      "videos watched",
      "total_videos_watched",
      "count"
    ],
    [
      "minutes watched",
      "total_engagement_minutes",
      "decimal"
    ],
    [
      "likes",
      "likes",
      "count"
    ],
    [
      "likes per view",
      "engagement_rate",
      "decimal"
    ],
    [
      "average completion",
      "average_completion",
      "coefficient"
    ]
  ],
  "video": [
    [
      "views",
      "views",
      "count"
    ],
    [
      "likes",
      "likes",
      "count"
    ],
    [
      "comments",
      "comments",
      "count"
    ],
    [
      "shares",
      "shares",
      "count"
    ],
    [
      "viral coefficient",
      "viral_coefficient",
      "coefficient"
    ],
    [
      "average completion",
      "average_completion",
      "coefficient"
    ]
  ],
  "creator": [
    [
      "views",
      "views",
      "count"
    ],
    [
      "likes",
      "likes",
      "count"
    ],
    [
      "comments",
      "comments",
      "count"
    ],
    [
      "shares",
      "shares",
      "count"
    ],
    [
      "follows",
      "follows",
      "count"
    ],
    [
      "minutes watched",
      "total_engagement_minutes",
      "decimal"
    ],
    [
      "average completion",
      "average_completion",
      "coefficient"
    ]
  ]
};
