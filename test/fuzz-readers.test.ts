/** Whoever parses bytes of others is fuzzed, or what it parses is not of others: each file that parses is here. */
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FUZZ_TARGETS } from './fuzz/targets.ts';

/** Files whose input strangers write, each with the target of test/fuzz that gives it random input. */
const FUZZED: Readonly<Record<string, string>> = {
  'src/agent/state.ts': 'states of agents',
  'src/cni/conflist.ts': 'conflists',
  'src/cni/json.ts': 'input of the plugin',
  'src/cni/plugin.ts': 'input of the plugin',
  'src/cni/result.ts': 'input of the plugin',
  'src/collect/bundle-archive.ts': 'archives of bundles',
  'src/collect/packed-reports.ts': 'archives of bundles',
  'src/collect/report.ts': 'node reports',
  'src/kube/kubeconfig-files.ts': 'kubeconfigs',
  'src/kube/streaming/spdy-client.ts': 'frames of SPDY',
  'src/lab/apiserver/admission.ts': 'requests of API clients',
  'src/lab/apiserver/applying.ts': 'requests of API clients',
  'src/lab/apiserver/continue-token.ts': 'continue tokens',
  'src/lab/apiserver/escalation-check.ts': 'requests of API clients',
  'src/lab/apiserver/exchange.ts': 'requests of API clients',
  'src/lab/apiserver/mirror.ts': 'requests of API clients',
  'src/lab/apiserver/node-restriction.ts': 'requests of API clients',
  'src/lab/apiserver/objects.ts': 'requests of API clients',
  'src/lab/apiserver/patching.ts': 'requests of API clients',
  'src/lab/apiserver/resource-store.ts': 'requests of API clients',
  'src/lab/apiserver/service-account-tokens.ts': 'requests of API clients',
  'src/lab/apiserver/subresource-handler.ts': 'requests of API clients',
  'src/lab/cluster/config/document.ts': 'configurations of kind',
  'src/lab/cluster/harmless-tree.ts': 'trees that cp takes out of a node',
  'src/lab/images/archive.ts': 'archives of images',
  'src/lab/kubernetes/fields/field-manager.ts': 'requests of API clients',
  'src/lab/kubernetes/fields/managed-fields.ts': 'requests of API clients',
  'src/lab/kubernetes/fields/path-element.ts': 'requests of API clients',
  'src/lab/kubernetes/schema/protobuf.ts': 'protobuf of API clients',
  'src/netfilter/read/nft-json.ts': 'what nft prints',
  'src/node/report/attachments.ts': 'cached results of chains',
  'src/node/report/conf-files.ts': 'secrets in documents',
  'src/node/report/secrets.ts': 'secrets in texts',
  'src/sys/tar.ts': 'archives of bundles',
  'src/util/parse-json.ts': 'states of agents',
};

/** The others: who writes what they parse. */
const OF_NOBODY_ELSE: Readonly<Record<string, string>> = {
  'src/cli/verbs/cni-inputs.ts': 'who calls the program',
  'src/cli/verbs/node-probe.ts': 'who calls the program, as root',
  'src/cni/invoke.ts': 'a plugin that runs as root: its output is bounded',
  'src/cni/result-cache.ts': 'root of the node; by the parser of conflists',
  'src/cni/runtime.ts': 'a plugin that runs as root',
  'src/collect/anonymise/report.ts': 'the program itself',
  'src/collect/local.ts': 'the program itself',
  'src/collect/reader/node-session.ts':
    'the reader in a pod: lines are bounded, reports are parsed by src/collect/report.ts',
  'src/collect/reader/send-program.ts': 'the program itself',
  'src/kube/auth-provider.ts': 'a program that the user has configured',
  'src/kube/client.ts': 'the API server',
  'src/kube/exec-plugin.ts': 'a program that the user has configured',
  'src/kube/kubeconfig-merge.ts': 'the user',
  'src/kube/send-over-socket.ts': 'the API server',
  'src/kube/streaming/pod-exec.ts': 'the API server',
  'src/kube/streaming/websocket.ts': 'clients, by the library `ws`',
  'src/lab/cilium/cni/agent-api.ts': 'the agent of the stand-in, as root',
  'src/lab/cilium/devices.ts': 'ip of the node',
  'src/lab/cilium/ipam-file.ts': 'the program itself',
  'src/lab/cilium/redirects.ts': 'nft of the node',
  'src/lab/cilium/socket-server.ts': 'a plugin, as root, by a socket of root',
  'src/lab/cluster/apply.ts': 'the API server of the lab',
  'src/lab/cluster/gateway.ts': 'the program itself',
  'src/lab/cluster/record.ts': 'the program itself',
  'src/lab/cluster/runc.ts': 'runc',
  'src/lab/cluster/start-gateway.ts': 'the program itself',
  'src/lab/doctor/node-server.ts':
    'the program in a node: lines are bounded, reports are parsed by src/collect/report.ts',
  'src/lab/echo/configuration.ts': 'who has written the pod, for the pod itself',
  'src/lab/engine/kubernetes/flags.ts': 'a program of the user',
  'src/lab/faults/conflist-not-loaded.ts': 'the lab',
  'src/lab/faults/pod-route-missing.ts': 'the lab',
  'src/lab/images/oci.ts': 'the program itself',
  'src/lab/inject/book.ts': 'the program itself',
  'src/lab/inject/conf-dir.ts': 'the lab',
  'src/lab/inject/pod-link.ts': 'the lab',
  'src/lab/kubelet/registry-auth.ts': 'a Secret of who has written the pod: anything but credentials is none',
  'src/lab/kubelet/status-publisher.ts': 'the program itself',
  'src/lab/kubernetes/schema/openapi-model.ts': 'the program itself',
  'src/lab/tour/example.ts': 'the project',
  'src/net/ip-batch.ts': 'ip of the node',
  'src/netfilter/nft/kernel.ts': 'nft of the node',
  'src/node/apply/journal.ts': 'the program itself, as root',
  'src/node/apply/runs.ts': 'the program itself, as root',
  'src/node/report/cilium.ts': 'the agent of Cilium, as root',
  'src/node/report/network.ts': 'ip of the node',
  'src/node/report/plugin-files.ts': 'a plugin that runs as root: its output and time are bounded',
  'src/node/report/runtime.ts': 'the runtime; its own bytes are a target',
  'src/node/serve/serve.ts': 'who may run programs in its pod, by schemas',
  'src/node/trace/record.ts': 'nft of the node',
  'src/node/trace/rule-texts.ts': 'nft of the node',
  'src/page/app.tsx': 'the program itself, into the page',
  'src/path/heal/conf-plans.ts': 'what src/node/report/conf-files.ts has read',
  'src/path/source/patch.ts': 'the program itself',
  'src/path/view/delegates.ts': 'what src/node/report/conf-files.ts has read',
  'src/path/view/loaded-network.ts': 'what a node report says, a target of its own',
  'src/portmap/attachments.ts': 'the program itself, as root: src/portmap/hostile-state.netns.test.ts',
  'src/portmap/nftables-reference.ts': 'nft of the node',
  'src/ui/history.ts': 'the program itself',
  'src/ui/live.tsx': 'the program itself, into the page',
  'src/ui/view/connection.ts': 'the program itself, to the page',
  'src/util/json-items.ts': 'what it is given, a piece at a time: bundles and answers of API servers',
};

const PARSES =
  /JSON\.parse\(|\bparseJson\(|\bparseDocument\(|\bparseAllDocuments\(|\breadTar\(|[gG]unzip(?:Sync)?\(|\bzstdDecompress|\bdecodeStruct\(|\bjwtVerify\b|\bnew WebSocketServer\(|\bnew SpdyDecoder\(/;

test('each file that parses is known, with its target or with why it has none', () => {
  const root = join(import.meta.dir, '..');
  const parsing = [...new Bun.Glob('src/**/*.{ts,tsx}').scanSync({ cwd: root })].filter(
    (path) =>
      !/\.(?:test|fake|suite|gen)\.tsx?$|\.d\.ts$|\/testing\//.test(path) &&
      PARSES.test(readFileSync(join(root, path), 'utf8')),
  );
  expect(parsing.sort()).toEqual([...Object.keys(FUZZED), ...Object.keys(OF_NOBODY_ELSE)].sort());
});

test('each target is there', () => {
  const names = new Set(FUZZ_TARGETS.map(({ name }) => name));
  expect(Object.entries(FUZZED).filter(([, name]) => !names.has(name))).toEqual([]);
});
