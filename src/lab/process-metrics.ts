import { readdirSync } from 'node:fs';
import type { Metric } from '../util/prometheus.ts';
import { RELEASE } from './kubernetes/release.ts';

const MICROSECONDS = 1e6;

/** What every daemon of Kubernetes says of its own process, under Prometheus' usual names. */
export function processMetrics(): Metric[] {
  const { user, system } = process.cpuUsage();
  const gauge = (name: string, help: string, value: number): Metric => ({
    ...{ name, help, type: 'gauge' },
    series: [[{}, value]],
  });
  return [
    {
      name: 'kubernetes_build_info',
      help: 'A metric with a constant value, labelled by the version.',
      type: 'gauge',
      series: [
        [{ git_version: `${RELEASE.version}+hostport`, major: RELEASE.major, minor: RELEASE.minor }, 1],
      ],
    },
    {
      name: 'process_cpu_seconds_total',
      help: 'Total user and system CPU time spent in seconds.',
      type: 'counter',
      series: [[{}, (user + system) / MICROSECONDS]],
    },
    gauge('process_resident_memory_bytes', 'Resident memory size in bytes.', process.memoryUsage.rss()),
    gauge(
      'process_start_time_seconds',
      'Start time of the process since unix epoch in seconds.',
      Math.round(Date.now() / 1000 - process.uptime()),
    ),
    gauge('process_open_fds', 'Number of open file descriptors.', readdirSync('/proc/self/fd').length),
  ];
}
