// A client of a Penstock service that knows its .proto files and nothing else:
//
//     npm install && node client.js 127.0.0.1:50051 "my name is Ada"
//
// PENSTOCK_TOKEN, where it is set, is shown with each call. With PENSTOCK_CA, a PEM file of the
// authorities to trust, what goes over the connection is encrypted: a token needs that on a network.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTOS = fileURLToPath(new URL("../../proto", import.meta.url));
const MANIFEST = new URL("../first_pipeline.json", import.meta.url);

const { remotemedia } = grpc.loadPackageDefinition(
  loadSync(["execution.proto", "streaming.proto"], {
    includeDirs: [PROTOS],
    keepCase: true,
    longs: Number,
    enums: String,
    oneofs: true,
  }),
);

const [target = "127.0.0.1:50051", ...said] = process.argv.slice(2);
const authorities = process.env.PENSTOCK_CA;
const credentials = authorities
  ? grpc.credentials.createSsl(readFileSync(authorities))
  : grpc.credentials.createInsecure();
const metadata = new grpc.Metadata();
if (process.env.PENSTOCK_TOKEN) {
  metadata.set("authorization", `Bearer ${process.env.PENSTOCK_TOKEN}`);
}

// On the wire the parameters of a node are a JSON text.
function pipeline() {
  const manifest = JSON.parse(readFileSync(MANIFEST, "utf8"));
  const nodes = manifest.nodes.map((node) => ({ ...node, params: JSON.stringify(node.params ?? {}) }));
  return { ...manifest, nodes };
}

function version() {
  const client = new remotemedia.v1.PipelineExecutionService(target, credentials);
  return new Promise((resolve, reject) => {
    client.GetVersion({ client_version: "v1" }, metadata, (error, answer) => {
      client.close();
      return error ? reject(error) : resolve(answer.version_info);
    });
  });
}

function converse(texts) {
  const client = new remotemedia.v1.StreamingPipelineService(target, credentials);
  const call = client.StreamPipeline(metadata);
  call.write({ init: { manifest: pipeline(), client_version: "v1" } });
  texts.forEach((text, index) => {
    const buffer = { text: { text_data: Buffer.from(text), encoding: "utf-8" } };
    call.write({ data_chunk: { node_id: "hear", buffer, sequence: index + 1 } });
  });
  call.write({ control: { command: "COMMAND_CLOSE" } });
  return new Promise((resolve, reject) => {
    call.on("data", (response) => {
      switch (response.response) {
        case "ready":
          console.log(`session ${response.ready.session_id}`);
          break;
        case "result":
          for (const [node, output] of Object.entries(response.result.data_outputs)) {
            console.log(`${node} #${response.result.sequence}: ${output.text.text_data}`);
          }
          break;
        case "error":
          reject(new Error(`${response.error.error_type}: ${response.error.message}`));
          break;
        case "closed":
          console.log(`closed: ${response.closed.reason}`);
          break;
      }
    });
    call.on("error", reject);
    call.on("end", () => {
      client.close();
      resolve();
    });
  });
}

try {
  const info = await version();
  console.log(`penstock ${info.runtime_version}, protocol ${info.protocol_version}`);
  await converse(said.length ? said : ["my name is Ada"]);
} catch (error) {
  console.error(`${target}: ${error.details || error.message}`);
  process.exit(1);
}
