import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The peers' work in Flink, exactly once, everything in one JVM: state on the heap, a checkpoint file a second
 * (Flink keeps no changelog topic), a transactional sink, parallelism 1.
 *
 * <p>Arguments: BOOTSTRAP TOPIC OUTPUT EVENTS GROUP CHECKPOINT-FOLDER. Prints "first" and "last" as the operator is
 * given those events; the output of the last ones is committed with the next checkpoint.
 */
public class Tiering {
  public static class Event {
    public String event_id, type, customer_id, channel, currency;
    public long occurred_at;
    public double amount;
  }

  public static class State {
    public double spend;
    public Map<Long, Integer> days = new HashMap<>();
    public String tier = "none";
  }

  static final AtomicLong seen = new AtomicLong();

  public static class Json extends AbstractDeserializationSchema<Event> {
    transient ObjectReader reader;

    Json() {
      super(Event.class);
    }

    @Override
    public Event deserialize(byte[] bytes) throws IOException {
      if (reader == null) reader = new ObjectMapper().readerFor(Event.class);
      return reader.readValue(bytes);
    }
  }

  public static class Score extends KeyedProcessFunction<String, Event, Tuple2<String, String>> {
    final long events;
    transient ValueState<State> store;

    Score(long events) {
      this.events = events;
    }

    @Override
    public void open(OpenContext context) {
      store = getRuntimeContext().getState(new ValueStateDescriptor<>("customers", State.class));
    }

    @Override
    public void processElement(Event event, Context context, Collector<Tuple2<String, String>> out)
        throws Exception {
      long number = seen.incrementAndGet();
      if (number == 1) System.out.println("first");
      State state = store.value();
      if (state == null) state = new State();
      if (event.type.equals("purchase")) state.spend += event.amount;
      else state.days.merge(event.occurred_at / 86_400_000L, 1, Integer::sum);
      int sum = 0;
      for (int count : state.days.values()) sum += count;
      String tier = state.spend > 10_000 ? "high" : sum > 5 ? "active" : "low";
      if (!tier.equals(state.tier)) {
        state.tier = tier;
        out.collect(Tuple2.of(event.customer_id, tier));
      }
      store.update(state);
      if (number == events) System.out.println("last");
    }
  }

  /** A class: the sink asks for its type, which a lambda cannot tell. */
  public static class Field implements SerializationSchema<Tuple2<String, String>> {
    final int place;

    Field(int place) {
      this.place = place;
    }

    @Override
    public byte[] serialize(Tuple2<String, String> pair) {
      return pair.<String>getField(place).getBytes();
    }
  }

  public static void main(String[] arguments) throws Exception {
    String bootstrap = arguments[0], input = arguments[1], output = arguments[2], group = arguments[4];
    Configuration settings = new Configuration();
    settings.setString("state.backend.type", "hashmap");
    settings.setString("execution.checkpointing.storage", "filesystem");
    settings.setString("execution.checkpointing.dir", Path.of(arguments[5]).toUri().toString());
    settings.setString("taskmanager.memory.managed.size", "512m");
    settings.setString("pipeline.object-reuse", "true");
    StreamExecutionEnvironment flink = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    flink.enableCheckpointing(1000); // exactly once is the default mode
    KafkaSource<Event> source =
        KafkaSource.<Event>builder()
            .setBootstrapServers(bootstrap)
            .setTopics(input)
            .setGroupId(group)
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.latest())
            .setProperty("max.poll.records", "5000")
            .setValueOnlyDeserializer(new Json())
            .build();
    KafkaSink<Tuple2<String, String>> sink =
        KafkaSink.<Tuple2<String, String>>builder()
            .setBootstrapServers(bootstrap)
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(group)
            .setProperty("transaction.timeout.ms", "600000")
            .setRecordSerializer(
                KafkaRecordSerializationSchema.<Tuple2<String, String>>builder()
                    .setTopic(output)
                    .setKeySerializationSchema(new Field(0))
                    .setValueSerializationSchema(new Field(1))
                    .build())
            .build();
    flink.fromSource(source, WatermarkStrategy.noWatermarks(), "events")
        .keyBy(event -> event.customer_id)
        .process(new Score(Long.parseLong(arguments[3])))
        .sinkTo(sink);
    flink.execute();
  }
}
