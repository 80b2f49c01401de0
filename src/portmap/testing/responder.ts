/**
 * Answers every TCP connection and every datagram with its name and whom it saw: `bun responder.ts NAME PORT`. Says `ready`
 * when it listens, and ends when it is killed.
 */
const [name, portText] = process.argv.slice(2);
const port = Number(portText);
Bun.listen({
  hostname: '::',
  port,
  socket: {
    open: (socket) => {
      socket.end(`${name} ${socket.remoteAddress.replace(/^::ffff:/, '')}`);
    },
    data: () => {},
  },
});
await Bun.udpSocket({
  hostname: '0.0.0.0',
  port,
  socket: { data: (socket, _data, fromPort, from) => void socket.send(`${name} ${from}`, fromPort, from) },
});
console.log('ready');

export {};
