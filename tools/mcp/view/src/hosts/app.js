// The chat program that holds this page in a frame: JSON-RPC over postMessage (MCP Apps, 2026-01-26).

import { Events } from '../events.js';
import { anchorDownload, textOf } from './common.js';

const PROTOCOL = '2026-01-26';

export class AppHost extends Events {
  kind = 'app';
  #waiting = new Map();
  #next = 1;

  /** Say hello; resolves when the host has answered. */
  async connect() {
    addEventListener('message', (event) => {
      if (event.source === window.parent) this.#receive(event.data);
    });
    const hello = await this.#ask('ui/initialize', {
      appInfo: { name: 'sam3i-view', version: '1' },
      appCapabilities: { availableDisplayModes: ['inline', 'fullscreen'] },
      protocolVersion: PROTOCOL,
    });
    const able = hello.hostCapabilities ?? {};
    this.context = hello.hostContext ?? {};
    this.can = {
      call: 'serverTools' in able,
      read: 'serverResources' in able,
      tell: 'updateModelContext' in able,
      download: 'downloadFile' in able,
    };
    this.#tell('ui/notifications/initialized', {});
  }

  get canFill() {
    return (this.context.availableDisplayModes ?? []).includes('fullscreen');
  }

  /** Call a tool of the server; a refusal is an Error with its words. */
  async call(name, args) {
    const answer = await this.#ask('tools/call', { name, arguments: args });
    if (answer.isError) throw new Error(textOf(answer));
    return answer;
  }

  async read(uri) {
    return (await this.#ask('resources/read', { uri })).contents[0];
  }

  /** Tell the model what the person did; it reads so with the next message. */
  async tell(text, data) {
    if (!this.can.tell) return;
    await this.#ask('ui/update-model-context', {
      content: [{ type: 'text', text }],
      structuredContent: data,
    });
  }

  async save(name, mime, base64) {
    if (!this.can.download) return anchorDownload(name, mime, base64);
    const resource = { uri: `file:///${encodeURIComponent(name)}`, mimeType: mime, blob: base64 };
    const done = await this.#ask('ui/download-file', { contents: [{ type: 'resource', resource }] });
    if (done.isError) throw new Error('The file was not saved.');
  }

  async fill(wanted) {
    const { mode } = await this.#ask('ui/request-display-mode', {
      mode: wanted ? 'fullscreen' : 'inline',
    });
    this.#change({ displayMode: mode });
  }

  resized(width, height) {
    this.#tell('ui/notifications/size-changed', { width, height });
  }

  #ask(method, params) {
    const id = this.#next++;
    window.parent.postMessage({ jsonrpc: '2.0', id, method, params }, '*');
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #tell(method, params) {
    window.parent.postMessage({ jsonrpc: '2.0', method, params }, '*');
  }

  #change(part) {
    Object.assign(this.context, part);
    this.emit('context', this.context);
  }

  #receive(message) {
    if (message?.jsonrpc !== '2.0') return;
    if (message.method === undefined) {
      const one = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) one?.reject(new Error(message.error.message));
      else one?.resolve(message.result ?? {});
      return;
    }
    const { method, params = {} } = message;
    if (method === 'ui/notifications/tool-input') this.emit('input', params.arguments ?? {});
    if (method === 'ui/notifications/tool-result') this.emit('result', params);
    if (method === 'ui/notifications/tool-cancelled') this.emit('cancelled', params.reason ?? '');
    if (method === 'ui/notifications/host-context-changed') this.#change(params);
    if (message.id === undefined) return;
    const known = method === 'ping' || method === 'ui/resource-teardown';
    const answer = known
      ? { result: {} }
      : { error: { code: -32601, message: `no method ${method}` } };
    window.parent.postMessage({ jsonrpc: '2.0', id: message.id, ...answer }, '*');
  }
}
