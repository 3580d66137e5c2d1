// The server itself, over streamable HTTP: the page that `sam3i serve --playground` shows.

import { textOf } from './common.js';
import { PageHost } from './page.js';

const PROTOCOL = '2025-11-25';
const UNAUTHORIZED = 401;
const NOT_FOUND = 404;

export class ServerHost extends PageHost {
  kind = 'server';
  can = { call: true, read: true, tell: false, download: true };
  #session;
  #token = sessionStorage.getItem('sam3i-token') ?? '';
  #next = 1;

  async connect() {
    this.#session = undefined;
    await this.#ask('initialize', {
      protocolVersion: PROTOCOL,
      capabilities: {},
      clientInfo: { name: 'sam3i-playground', version: '1' },
    });
    await this.#post({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  async call(name, args) {
    const answer = await this.#ask('tools/call', {
      name,
      arguments: args,
      _meta: { progressToken: this.#next },
    });
    if (answer.isError) throw new Error(textOf(answer));
    return answer;
  }

  async read(uri) {
    return (await this.#ask('resources/read', { uri })).contents[0];
  }

  /** Show this token from now on. */
  useToken(token) {
    this.#token = token;
    sessionStorage.setItem('sam3i-token', token);
  }

  async #ask(method, params) {
    const response = await this.#post({ jsonrpc: '2.0', id: this.#next++, method, params });
    if (response.status === NOT_FOUND && this.#session) {
      await this.connect(); // the server has been started again
      return this.#ask(method, params);
    }
    if (!response.ok) throw new Error(`The server says ${response.status}.`);
    this.#session ??= response.headers.get('mcp-session-id') ?? undefined;
    const answer = await this.#answerOf(response);
    if (answer.error) throw new Error(answer.error.message);
    return answer.result;
  }

  async #post(message) {
    let response;
    try {
      response = await fetch('mcp', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': PROTOCOL,
          ...(this.#session && { 'mcp-session-id': this.#session }),
          ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        },
        body: JSON.stringify(message),
      });
    } catch {
      throw new Error('The server cannot be reached. Is it still running?');
    }
    if (response.status === UNAUTHORIZED) {
      this.emit('token');
      throw new Error('The server asks for its token.');
    }
    return response;
  }

  /** The answer at the end of a stream of events; what comes before is progress. */
  async #answerOf(response) {
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
      return response.json();
    }
    const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await text.read();
      if (done) throw new Error('The server broke off.');
      const events = (rest + value).split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) {
        const data = event
          .split(/\r?\n/)
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice(5))
          .join('\n');
        if (!data.trim()) continue;
        const message = JSON.parse(data);
        if (message.method === 'notifications/progress') this.emit('progress', message.params.message);
        if ('result' in message || 'error' in message) {
          text.cancel();
          return message;
        }
      }
    }
  }
}
