// A host of the public library that shows what a tool's answer names, in a frame of another origin.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { AppBridge, PostMessageTransport, getToolUiResourceUri } from '@modelcontextprotocol/ext-apps/app-bridge';

const asked = JSON.parse(new URLSearchParams(location.search).get('asked'));
const seen = (window.seen = { contexts: [], files: [], calls: [] });

const client = new Client({ name: 'test-host', version: '1' });
await client.connect(new StreamableHTTPClientTransport(new URL(asked.server)));
const { tools } = await client.listTools();
const tool = tools.find((one) => one.name === asked.tool);
const page = (await client.readResource({ uri: getToolUiResourceUri(tool) })).contents[0];
seen.mimeType = page.mimeType;

const frame = document.createElement('iframe');
frame.sandbox = 'allow-scripts allow-same-origin';
frame.src = asked.sandbox;
document.body.append(frame);

const able = { serverTools: {}, serverResources: {}, updateModelContext: { text: {}, structuredContent: {} }, downloadFile: {} };
const hostContext = { theme: asked.theme, displayMode: 'inline', availableDisplayModes: ['inline', 'fullscreen'], toolInfo: { tool } };
const bridge = (window.bridge = new AppBridge(client, { name: 'test-host', version: '1' }, able, { hostContext }));
bridge.onsandboxready = () => bridge.sendSandboxResourceReady({ html: page.text });
bridge.onsizechange = ({ height }) => {
  if (!frame.classList.contains('full')) frame.style.height = `${height}px`;
};
bridge.onrequestdisplaymode = async ({ mode }) => {
  frame.classList.toggle('full', mode === 'fullscreen');
  return { mode };
};
bridge.onupdatemodelcontext = async (context) => {
  seen.contexts.push(context);
  return {};
};
bridge.ondownloadfile = async ({ contents }) => {
  seen.files.push(contents[0].resource);
  return {};
};
bridge.oninitialized = async () => {
  await bridge.sendToolInput({ arguments: asked.args });
  const answer = await client.callTool({ name: asked.tool, arguments: asked.args }).catch((error) => ({ isError: true, content: [{ type: 'text', text: error.message }] }));
  await bridge.sendToolResult(answer);
};
await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
