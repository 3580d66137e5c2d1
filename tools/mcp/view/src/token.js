// A server that asks for its token.

import { h } from './dom.js';

export function tokenForm(host) {
  const input = h('input', { type: 'password', id: 'token', autocomplete: 'current-password', required: true });
  const form = h(
    'form',
    {
      class: 'token',
      hidden: true,
      onsubmit: async (event) => {
        event.preventDefault();
        host.useToken(input.value.trim());
        await host.connect();
        location.reload();
      },
    },
    h('label', { for: 'token' }, 'Token of the server (SAM3I_TOKEN)'), input, h('button', { class: 'primary' }, 'Use it'),
  );
  host.on('token', () => {
    form.hidden = false;
    input.focus();
  });
  return form;
}
