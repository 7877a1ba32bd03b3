import { Counter, Gauge, Registry } from 'prom-client';

/** Every metric's name, in one place. No label ever holds a person, a token or an order. */
export function createMetrics() {
  const registers = [new Registry()];
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });
  const gauge = (
    name: string,
    help: string,
    collect: (this: { set(value: number): void }) => Promise<void>,
  ) => new Gauge({ name, help, registers, collect });
  return {
    registry: registers[0]!,
    shakes: counter('hongbao_shakes_total', 'Shakes answered, by prize', ['prize']),
    opens: counter('hongbao_packets_opened_total', 'Packets opened, by whether the answer was a repeat', [
      'replayed',
    ]),
    problems: counter('hongbao_problems_total', 'Requests and frames refused or failed, by kind', ['kind']),
    unrecordedTokens: counter(
      'hongbao_unrecorded_tokens_total',
      'Tokens we sealed and had no record of. One is an alarm',
    ),
    swept: counter(
      'hongbao_swept_orders_total',
      'Orders that book and log had missed of one another, by what was done',
      ['what'],
    ),
    connectorAnswers: counter(
      'hongbao_connector_answers_total',
      'Answers of downstreams, by connector and by what they mean',
      ['connector', 'answer'],
    ),
    awardsSettled: counter(
      'hongbao_awards_settled_total',
      'Pieces that were handed out, or became dead letters, by connector',
      ['connector', 'state'],
    ),
    reissued: counter(
      'hongbao_reissued_lines_total',
      'Lines of lists that were settled, by what became of them',
      ['outcome'],
    ),
    unlogged: counter('hongbao_unlogged_orders_total', 'Promised without the log: credited straight away'),
    phones: counter(
      'hongbao_phone_numbers_total',
      'Phone numbers that came to be bound, by what became of it',
      ['outcome'],
    ),
    moved: counter('hongbao_alias_transfers_total', 'Times that an alias’s money was moved to its person'),
    /** Registers a gauge that is read when somebody asks. */
    watch(name: `hongbao_${string}`, help: string, read: () => number | Promise<number>): void {
      gauge(name, help, async function collect() {
        this.set(await read());
      });
    },
    /** Registers a gauge with one label, read when somebody asks: its values by the label’s. */
    watchLabelled(
      name: `hongbao_${string}`,
      help: string,
      label: string,
      read: () => Readonly<Record<string, number>>,
    ): void {
      const labelled = new Gauge({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          labelled.reset();
          for (const [value, now] of Object.entries(read())) labelled.set({ [label]: value }, now);
        },
      });
    },
    /** Registers counters that somebody else keeps, one for each value of the label; read when somebody asks. */
    watchCounts(
      name: `hongbao_${string}_total`,
      help: string,
      label: string,
      read: () => Readonly<Record<string, number>>,
    ): void {
      const counts = new Counter({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          counts.reset();
          for (const [value, count] of Object.entries(read())) counts.inc({ [label]: value }, count);
        },
      });
    },
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
