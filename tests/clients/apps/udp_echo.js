// A UDP echo on the port and, when there is one, the host given.
const [port, host] = process.argv.slice(2);
const socket = require('dgram').createSocket('udp4');
socket.on('message', (data, from) => socket.send(data, from.port, from.address));
socket.bind(Number(port), host);
