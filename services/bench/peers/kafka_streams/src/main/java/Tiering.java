import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The peers' work in Kafka Streams, exactly once: state in RocksDB with a changelog topic, one thread.
 *
 * <p>Arguments: BOOTSTRAP TOPIC OUTPUT EVENTS APPLICATION-ID STATE-FOLDER. Prints "first" and "last" as the
 * processor is given those events.
 */
public class Tiering {
  public static class Event {
    public String event_id, type, customer_id, channel, currency;
    public long occurred_at;
    public double amount;
  }

  public static class State {
    public double spend;
    public Map<String, Integer> days = new HashMap<>();
    public String tier = "none";
  }

  static final ObjectMapper JSON = new ObjectMapper();
  static final ObjectReader EVENT = JSON.readerFor(Event.class), STATE = JSON.readerFor(State.class);
  static final ObjectWriter WRITER = JSON.writerFor(State.class);

  static class Score implements Processor<String, byte[], String, String> {
    final AtomicLong seen;
    final long events;
    KeyValueStore<String, byte[]> store;
    ProcessorContext<String, String> context;

    Score(AtomicLong seen, long events) {
      this.seen = seen;
      this.events = events;
    }

    @Override
    public void init(ProcessorContext<String, String> context) {
      this.context = context;
      store = context.getStateStore("customers");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      long number = seen.incrementAndGet();
      if (number == 1) System.out.println("first");
      try {
        Event event = EVENT.readValue(record.value());
        byte[] raw = store.get(event.customer_id);
        State state = raw == null ? new State() : STATE.readValue(raw);
        if (event.type.equals("purchase")) state.spend += event.amount;
        else state.days.merge(String.valueOf(event.occurred_at / 86_400_000L), 1, Integer::sum);
        int sum = 0;
        for (int count : state.days.values()) sum += count;
        String tier = state.spend > 10_000 ? "high" : sum > 5 ? "active" : "low";
        boolean changed = !tier.equals(state.tier);
        state.tier = tier;
        store.put(event.customer_id, WRITER.writeValueAsBytes(state));
        if (changed) context.forward(record.withKey(event.customer_id).withValue(tier));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      if (number == events) System.out.println("last");
    }
  }

  public static void main(String[] arguments) {
    String input = arguments[1], output = arguments[2];
    long events = Long.parseLong(arguments[3]);
    Properties settings = new Properties();
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("application.id", arguments[4]);
    settings.put("state.dir", arguments[5]);
    settings.put("processing.guarantee", "exactly_once_v2");
    settings.put("num.stream.threads", "1");
    settings.put("replication.factor", "1");
    settings.put("consumer.auto.offset.reset", "earliest");
    settings.put("max.poll.records", "5000");
    settings.put("producer.linger.ms", "20");
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore("customers"), Serdes.String(), Serdes.ByteArray())
            .withCachingEnabled());
    AtomicLong seen = new AtomicLong();
    builder.stream(input, Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .process(() -> new Score(seen, events), "customers")
        .to(output, Produced.with(Serdes.String(), Serdes.String()));
    new KafkaStreams(builder.build(), settings).start();
  }
}
