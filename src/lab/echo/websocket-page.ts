/** The page at /ws: sends what is typed over a WebSocket and shows what comes back. It loads nothing from elsewhere. */
export const WEBSOCKET_PAGE = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>echo-server: websocket</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; min-width: 0; font: inherit; padding: .3rem .5rem; }
  button { font: inherit; padding: .3rem 1rem; }
  #log { list-style: none; padding: 0; font-family: ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
  #log li::before { display: inline-block; width: 6.5rem; color: #667; content: attr(data-what); }
</style>
</head>
<body>
<h1>WebSocket echo</h1>
<p id="state" role="status">connecting…</p>
<form id="form">
  <input id="text" aria-label="Message" placeholder="Say something" autocomplete="off" autofocus>
  <button id="send" disabled>Send</button>
  <button id="toggle" type="button">Disconnect</button>
</form>
<ul id="log" aria-live="polite"></ul>
<script>
  const at = (id) => document.getElementById(id);
  let socket;
  function note(what, text) {
    const line = document.createElement('li');
    line.dataset.what = what;
    line.textContent = text;
    at('log').append(line);
    line.scrollIntoView({ block: 'nearest' });
  }
  function show(state, open) {
    at('state').textContent = state;
    at('send').disabled = !open;
    at('toggle').textContent = open ? 'Disconnect' : 'Connect';
  }
  function connect() {
    const url = (location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + location.pathname;
    show('connecting to ' + url, false);
    socket = new WebSocket(url);
    socket.onopen = () => show('connected to ' + url, true);
    socket.onmessage = (event) => note('received', event.data);
    socket.onclose = (event) => { show('closed (' + event.code + ')', false); };
  }
  at('form').onsubmit = (event) => {
    event.preventDefault();
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(at('text').value);
    note('sent', at('text').value);
    at('text').value = '';
  };
  at('toggle').onclick = () => (socket.readyState === WebSocket.OPEN ? socket.close() : connect());
  connect();
</script>
</body>
</html>
`;
