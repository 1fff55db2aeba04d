import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Aggregator;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The job in Kafka Streams.
 *
 * <p>Settings that differ from the defaults, each for more events per second: commits every second
 * instead of 0.1 s, a record cache of 256 MiB, two threads for two cores. Rows are packed as numbers
 * of 8 bytes, and only these are repartitioned by video.
 */
public final class Counting {
    private static final Duration HOUR = Duration.ofHours(1);
    private static final Duration DAY = Duration.ofDays(1);

    private static final Map<String, long[]> OF_VIDEO =
            Map.of(
                    "video_view", new long[] {1, 0, 0, 0},
                    "like", new long[] {0, 1, 0, 0},
                    "comment", new long[] {0, 0, 1, 0},
                    "share", new long[] {0, 0, 0, 1});

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Metadata(long view_duration_ms) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Event(String event_type, long video_id, String timestamp, Metadata metadata) {
        long timeMs() {
            return Instant.parse(timestamp).toEpochMilli();
        }

        long[] ofUser() {
            if (event_type.equals("like")) {
                return new long[] {0, 1, 0};
            }
            return new long[] {1, 0, metadata == null ? 0 : metadata.view_duration_ms()};
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        var streams = new KafkaStreams(topology().build(), settings());
        streams.setUncaughtExceptionHandler(
                error -> {
                    error.printStackTrace();
                    return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
                });
        streams.setStateListener(
                (now, before) -> {
                    if (now == KafkaStreams.State.ERROR) {
                        Runtime.getRuntime().halt(1);
                    }
                });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
        Thread.currentThread().join();
    }

    private static Properties settings() {
        var settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, variable("BOOTSTRAP"));
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, variable("APP_ID"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, variable("STATE"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        return settings;
    }

    private static StreamsBuilder topology() {
        var builder = new StreamsBuilder();
        var consumed =
                Consumed.with(Serdes.String(), events())
                        .withTimestampExtractor((record, last) -> ((Event) record.value()).timeMs());
        KStream<String, Event> events = builder.stream(variable("EVENTS_TOPIC"), consumed);

        var counted = Set.of("video_view", "like");
        var windows =
                variable("PANES").equals("1")
                        ? TimeWindows.ofSizeAndGrace(HOUR, HOUR)
                        : TimeWindows.ofSizeAndGrace(DAY, HOUR).advanceBy(HOUR);
        count(
                events.filter((user, event) -> counted.contains(event.event_type()))
                        .mapValues(Event::ofUser),
                Serdes.String(),
                windows,
                "users",
                3);
        count(
                events.filter((user, event) -> OF_VIDEO.containsKey(event.event_type()))
                        .map((user, event) ->
                                KeyValue.pair(event.video_id(), OF_VIDEO.get(event.event_type()))),
                Serdes.Long(),
                TimeWindows.ofSizeAndGrace(HOUR.multipliedBy(2), HOUR),
                "videos",
                4);
        return builder;
    }

    /** Sum the {@code width} numbers of each key in each window, in the store {@code name}. */
    private static <K> void count(
            KStream<K, long[]> rows, Serde<K> keys, TimeWindows windows, String name, int width) {
        Aggregator<K, long[], long[]> add =
                (key, row, sums) -> {
                    var total = sums.clone();
                    for (int i = 0; i < width; i++) {
                        total[i] += row[i];
                    }
                    return total;
                };
        rows.groupByKey(Grouped.with(name, keys, numbers()))
                .windowedBy(windows)
                .aggregate(
                        () -> new long[width],
                        add,
                        Materialized.<K, long[], WindowStore<Bytes, byte[]>>as(name)
                                .withKeySerde(keys)
                                .withValueSerde(numbers())
                                .withRetention(DAY.plus(HOUR)));
    }

    private static Serde<Event> events() {
        ObjectReader reader = new ObjectMapper().readerFor(Event.class);
        return Serdes.serdeFrom(
                (topic, event) -> {
                    throw new UnsupportedOperationException("no event is written");
                },
                (topic, bytes) -> {
                    try {
                        return reader.readValue(bytes);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                });
    }

    private static Serde<long[]> numbers() {
        return Serdes.serdeFrom(
                (topic, numbers) -> {
                    if (numbers == null) {
                        return null;
                    }
                    var bytes = ByteBuffer.allocate(8 * numbers.length);
                    bytes.asLongBuffer().put(numbers);
                    return bytes.array();
                },
                (topic, bytes) -> {
                    if (bytes == null) {
                        return null;
                    }
                    var numbers = new long[bytes.length / 8];
                    ByteBuffer.wrap(bytes).asLongBuffer().get(numbers);
                    return numbers;
                });
    }

    private static String variable(String name) {
        return System.getenv("PEER_" + name);
    }
}
