/**
 * Asks a responder once: `bun probe.ts tcp|udp ADDRESS PORT [LOCAL-PORT [MILLISECONDS]]`. Prints what it answered; status 1 and the reason when
 * it did not in that time, by default a second and a half.
 */
const [protocol, hostname, portText, localPort, patience = '1500'] = process.argv.slice(2) as [
  ...[string, string, string],
  ...[string?, string?],
];
const port = Number(portText);
const answer = Promise.withResolvers<string>();
setTimeout(() => answer.reject(new Error('no answer')), Number(patience));
if (protocol === 'tcp') {
  Bun.connect({
    hostname,
    port,
    socket: {
      data: (_socket, data) => answer.resolve(data.toString()),
      error: (_socket, error) => answer.reject(error),
      connectError: (_socket, error) => answer.reject(error),
      close: () => answer.reject(new Error('closed without an answer')),
    },
  }).catch(answer.reject);
} else {
  const socket = await Bun.udpSocket({
    port: localPort === undefined ? 0 : Number(localPort),
    hostname: hostname.includes(':') ? '::' : '0.0.0.0',
    socket: { data: (_socket, data) => answer.resolve(data.toString()) },
  });
  socket.send('?', port, hostname);
}
try {
  console.log(await answer.promise);
  process.exit(0);
} catch (error) {
  console.log(String(error));
  process.exit(1);
}

export {};
