'use strict';

// Loaded before the app: every tenth request waits for a loop of 1 ms.
const { Server } = require('node:http');

const emit = Server.prototype.emit;
let requests = 0;

Server.prototype.emit = function (event, ...args) {
  if (event === 'request') {
    requests += 1;
    if (requests % 10 === 0) {
      const end = performance.now() + 1;
      while (performance.now() < end);
    }
  }
  return emit.call(this, event, ...args);
};
