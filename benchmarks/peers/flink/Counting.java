import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** The job in Flink SQL: two statements over the same source, in one job of two slots. */
public final class Counting {
    private static final String SOURCE =
            """
            CREATE TABLE events (
              event_type STRING,
              user_id BIGINT,
              video_id BIGINT,
              `timestamp` TIMESTAMP_LTZ(3),
              metadata ROW<view_duration_ms BIGINT>,
              WATERMARK FOR `timestamp` AS `timestamp` - INTERVAL '5' SECOND
            ) WITH (
              'connector' = 'kafka',
              'properties.bootstrap.servers' = '%s',
              'topic' = '%s',
              'properties.group.id' = '%s',
              'scan.startup.mode' = 'earliest-offset',
              'format' = 'json',
              'json.timestamp-format.standard' = 'ISO-8601'
            )
            """;

    private static final String SINK =
            """
            CREATE TABLE %2$s (`key` BIGINT, window_start TIMESTAMP(3), %3$s) WITH (
              'connector' = 'kafka',
              'properties.bootstrap.servers' = '%1$s',
              'properties.transaction.timeout.ms' = '600000',
              'topic' = '%4$s-%2$s',
              'key.format' = 'json',
              'key.fields' = 'key;window_start',
              'value.format' = 'json',
              'sink.delivery-guarantee' = 'exactly-once',
              'sink.transactional-id-prefix' = '%4$s-%2$s'
            )
            """;

    private static final String USERS =
            """
            INSERT INTO users
            SELECT
              user_id,
              window_start,
              COUNT(*) FILTER (WHERE event_type = 'video_view'),
              COUNT(*) FILTER (WHERE event_type = 'like'),
              SUM(metadata.view_duration_ms) FILTER (WHERE event_type = 'video_view')
            FROM HOP(TABLE events, DESCRIPTOR(`timestamp`), INTERVAL '1' HOUR, INTERVAL '24' HOUR)
            WHERE event_type IN ('video_view', 'like')
            GROUP BY user_id, window_start, window_end
            """;

    private static final String VIDEOS =
            """
            INSERT INTO videos
            SELECT
              video_id,
              window_start,
              COUNT(*) FILTER (WHERE event_type = 'video_view'),
              COUNT(*) FILTER (WHERE event_type = 'like'),
              COUNT(*) FILTER (WHERE event_type = 'comment'),
              COUNT(*) FILTER (WHERE event_type = 'share')
            FROM TUMBLE(TABLE events, DESCRIPTOR(`timestamp`), INTERVAL '2' HOUR)
            WHERE event_type IN ('video_view', 'like', 'comment', 'share')
            GROUP BY video_id, window_start, window_end
            """;

    public static void main(String[] arguments) throws Exception {
        var bootstrap = variable("BOOTSTRAP");
        var app = variable("APP_ID");
        var settings =
                Configuration.fromMap(
                        Map.of(
                                "parallelism.default", "2",
                                "taskmanager.numberOfTaskSlots", "2",
                                "execution.checkpointing.interval", "1 s",
                                "execution.checkpointing.mode", "EXACTLY_ONCE",
                                "execution.checkpointing.storage", "filesystem",
                                "execution.checkpointing.dir", "file://" + variable("STATE"),
                                "restart-strategy.type", "none",
                                "table.local-time-zone", "UTC"));
        var tables =
                TableEnvironment.create(
                        EnvironmentSettings.newInstance()
                                .inStreamingMode()
                                .withConfiguration(settings)
                                .build());
        tables.executeSql(SOURCE.formatted(bootstrap, variable("EVENTS_TOPIC"), app));
        var users = "`views` BIGINT, likes BIGINT, watch_ms BIGINT";
        var videos = "`views` BIGINT, likes BIGINT, comments BIGINT, shares BIGINT";
        tables.executeSql(SINK.formatted(bootstrap, "users", users, app));
        tables.executeSql(SINK.formatted(bootstrap, "videos", videos, app));
        var statements = tables.createStatementSet();
        statements.addInsertSql(USERS);
        statements.addInsertSql(VIDEOS);
        statements.execute().await();
    }

    private static String variable(String name) {
        return System.getenv("PEER_" + name);
    }
}
