// The last request as code that does the same elsewhere. Long base64 is replaced by a command that makes it from a file.

const LONG = 400;
const FILES = { image: { file: "picture.png", head: "data:image/png;base64," }, audio: { file: "speech.wav", head: "data:audio/wav;base64," } };

function marker(value) {
  return value.startsWith("data:audio/") ? "@@audio@@" : "@@image@@";
}

function shortened(value) {
  if (typeof value === "string") return value.length > LONG && /^(data:|[A-Za-z0-9+/=]+$)/.test(value) ? marker(value) : value;
  if (Array.isArray(value)) return value.map(shortened);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shortened(each)]));
  return value;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function curl({ path, body, fields }, origin, hasKey) {
  const lines = [`curl -sS ${quoted(origin + path)}`];
  if (hasKey) lines.push(`-H "authorization: Bearer $API_KEY"`);
  if (fields) {
    for (const [name, value] of Object.entries(fields))
      lines.push(`-F ${quoted(value instanceof Blob ? `${name}=@speech.wav` : `${name}=${value}`)}`);
  } else {
    const text = quoted(JSON.stringify(shortened(body), null, 2));
    lines.push("-H 'content-type: application/json'");
    lines.push(`-d ${text.replaceAll(/@@(\w+)@@/g, (_, kind) => `${FILES[kind].head}'"$(base64 -w0 ${FILES[kind].file})"'`)}`);
  }
  return lines.join(" \\\n  ");
}

function literal(value, indent = "") {
  const inner = `${indent}    `;
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === "@@image@@" || value === "@@audio@@") return value.slice(2, -2);
  if (Array.isArray(value)) {
    if (!value.length) return "[]";
    return `[\n${value.map((each) => `${inner}${literal(each, inner)},\n`).join("")}${indent}]`;
  }
  if (typeof value === "object")
    return `{\n${Object.entries(value)
      .map(([key, each]) => `${inner}${JSON.stringify(key)}: ${literal(each, inner)},\n`)
      .join("")}${indent}}`;
  return JSON.stringify(value);
}

function keyword(body) {
  return Object.entries(body)
    .map(([key, value]) => `    ${key}=${literal(value, "    ")},\n`)
    .join("");
}

const CLIENT = {
  "/v1/chat/completions": ["client.chat.completions.create", "chunk.choices[0].delta.content or \"\"", "answer.choices[0].message.content"],
  "/v1/completions": ["client.completions.create", "chunk.choices[0].text", "answer.choices[0].text"],
  "/v1/embeddings": ["client.embeddings.create", "", "answer.data[0].embedding"],
};

function openai(path, body, origin, hasKey) {
  const [call, piece, whole] = CLIENT[path];
  const key = hasKey ? 'os.environ["API_KEY"]' : '"none"';
  const head = `${hasKey ? "import os\n\n" : ""}from openai import OpenAI\n\nclient = OpenAI(base_url="${origin}/v1", api_key=${key})\n`;
  const made = `answer = ${call}(\n${keyword(body)})\n`;
  const told = body.stream ? `for chunk in answer:\n    if chunk.choices:\n        print(${piece}, end="", flush=True)\n` : `print(${whole})\n`;
  return [head, made, told];
}

function plain(path, body, fields, origin, hasKey) {
  const headers = hasKey ? '    headers={"authorization": f"Bearer {os.environ[\'API_KEY\']}"},\n' : "";
  const head = `${hasKey ? "import os\n\n" : ""}import httpx\n`;
  const texts = fields ? Object.fromEntries(Object.entries(fields).filter(([, value]) => !(value instanceof Blob))) : {};
  const sent = fields
    ? `    files={"file": open("speech.wav", "rb")},\n    data=${literal(texts, "    ")},\n`
    : `    json=${literal(body, "    ")},\n`;
  const made = `answer = httpx.post(\n    "${origin}${path}",\n${headers}${sent}    timeout=600,\n)\n`;
  return [head, made, "print(answer.json())\n"];
}

export function python({ path, body, fields }, origin, hasKey) {
  const small = body && shortened(body);
  const parts = body && CLIENT[path] ? openai(path, small, origin, hasKey) : plain(path, small, fields, origin, hasKey);
  const [, kind] = /"@@(\w+)@@"/.exec(JSON.stringify(small || null)) || [];
  if (kind) {
    const read = `${kind} = "${FILES[kind].head}" + base64.b64encode(open("${FILES[kind].file}", "rb").read()).decode()\n`;
    parts[0] = `import base64\n${parts[0].startsWith("import os") ? "" : "\n"}${parts[0]}\n${read}`;
  }
  return parts.join("\n").replaceAll("\n\n\n", "\n\n").trimEnd();
}
