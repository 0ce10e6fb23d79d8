// The official TypeScript client: lists tools and calls one, over the transport that is named.
// Arguments: transport (stdio | http | sse), then the URL or the command, tool and its arguments.
const sdk = (path) => import(`${process.env.SDK}/dist/esm/client/${path}.js`);
const { Client } = await sdk("index");
const [kind, target, tool, args] = process.argv.slice(2);

async function open() {
  if (kind === "stdio") {
    const { StdioClientTransport } = await sdk("stdio");
    const [command, ...words] = JSON.parse(target);
    return new StdioClientTransport({ command, args: words, env: process.env, stderr: "ignore" });
  }
  if (kind === "sse") {
    const { SSEClientTransport } = await sdk("sse");
    return new SSEClientTransport(new URL(target));
  }
  const { StreamableHTTPClientTransport } = await sdk("streamableHttp");
  return new StreamableHTTPClientTransport(new URL(target));
}

const client = new Client({ name: "tests", version: "1" }, { capabilities: {} });
await client.connect(await open());
const tools = (await client.listTools()).tools.map((each) => each.name);
const result = await client.callTool({ name: tool, arguments: JSON.parse(args) });
console.log(JSON.stringify({ server: client.getServerVersion().name, tools, result }));
await client.close();
