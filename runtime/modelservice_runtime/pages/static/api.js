// Requests to the server that the page came from. The key lives in this object only: not in storage, not in the address.

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail.message || `the server answered ${status}`);
    this.status = status;
    this.param = detail.param || null;
  }
}

async function refuse(response) {
  let detail = {};
  try {
    const body = await response.json();
    detail = typeof body.error === "string" ? { message: body.error } : body.error || {};
  } catch {
    detail = {};
  }
  throw new ApiError(response.status, detail);
}

export class Api {
  constructor(onRequest) {
    this.key = "";
    this.onRequest = onRequest;
  }

  headers(more = {}) {
    return this.key ? { ...more, authorization: `Bearer ${this.key}` } : more;
  }

  async models() {
    const response = await fetch("/v1/models", { headers: this.headers() });
    return response.ok ? (await response.json()).data : refuse(response);
  }

  async send(path, body, signal) {
    this.onRequest({ path, body });
    const response = await fetch(path, {
      method: "POST",
      headers: this.headers({ "content-type": "application/json" }),
      body: JSON.stringify(body),
      signal,
    });
    return response.ok ? response : refuse(response);
  }

  async post(path, body, signal) {
    return (await this.send(path, body, signal)).json();
  }

  async upload(path, fields, signal) {
    this.onRequest({ path, fields });
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    const response = await fetch(path, { method: "POST", headers: this.headers(), body: form, signal });
    return response.ok ? response.json() : refuse(response);
  }

  // Yields the events of a stream. A stream that ends without [DONE] was cut off, and says so.
  async *stream(path, body, signal) {
    const response = await this.send(path, { ...body, stream: true }, signal);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new ApiError(0, { message: "the stream ended early" });
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        const data = line.slice(6);
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw new ApiError(0, event.error);
        yield event;
      }
    }
  }
}

export function predictPath(model) {
  return `/v1/models/${encodeURIComponent(model)}:predict`;
}
