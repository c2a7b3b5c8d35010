// Writes each window as lines of InfluxDB's line protocol: one line for each series, one field for each measure.
import { Request, Verdict } from 'tidegate:adapter/model@1.0.0';

const description = {
  name: 'lines-js',
  version: '0.1.0',
  vendor: 'Acme',
  summary: 'Writes lines of the line protocol, from JavaScript.',
  documentation: 'https://acme.example/tidegate',
  settings: [
    { key: 'url', label: 'URL', kind: 'url', required: true, help: 'Address of the server' },
    { key: 'database', label: 'Database', kind: 'text', required: true, help: 'It has to exist' },
    { key: 'user', label: 'User', kind: 'text', help: 'If the server asks for one' },
    { key: 'password', label: 'Password', kind: 'secret', help: 'Of that user' },
  ],
  endpoints: [{ kind: 'http', key: 'url', url: '{url}' }],
};

export const about = { describe: () => JSON.stringify(description) };

// A line break has no escape, and a backslash before a separator would swallow it.
// (The engine has no data on Unicode, so regular expressions know no \p{...}.)
const clean = (text) =>
  text
    .replace(/\\(?=[,= \x00-\x1f\x7f-\x9f]|$)/g, '\\_')
    .replaceAll('\n', '\\n')
    .replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.codePointAt(0).toString(16).padStart(2, '0')}`);
const key = (text) => clean(text).replace(/[,= ]/g, '\\$&');
const measurement = (text) => clean(text).replace(/[, ]/g, '\\$&');

// A dictionary comes as one piece of UTF-8 and the ends of its entries. It is that of the whole window, so a part of it uses few
// of them: each is made when a row wants it. An empty entry means that there is no value.
function tags(name, { utf8, ends }) {
  const decoder = new TextDecoder();
  const made = new Map();
  return (code) => {
    if (!made.has(code)) {
      const entry = decoder.decode(utf8.subarray(code === 0 ? 0 : ends[code - 1], ends[code]));
      made.set(code, entry === '' ? '' : `,${key(name)}=${key(entry)}`);
    }
    return made.get(code);
  };
}

function lines(batch) {
  const common = `,metric_set=${key(batch.metricSet())},project=${key(batch.project())}`;
  const stamp = batch.windowEnd();
  const text = [];
  for (const metric of batch.metrics()) {
    // Whatever repeats is made once for each entry of a dictionary, and not once for each row.
    const head = measurement(metric.name()) + common;
    const labels = metric.dimensions().map((name, at) => ({ piece: tags(name, metric.dictionary(at)), codes: metric.codes(at) }));
    const measures = metric.measures().map((measure) => ({
      field: key(`${measure.aggregate()}_${measure.attribute()}`),
      values: measure.values(),
    }));
    for (let row = 0; row < metric.liveRows(); row++) {
      // NaN means that there is no value.
      const fields = measures.filter(({ values }) => !Number.isNaN(values[row])).map(({ field, values }) => `${field}=${values[row]}`);
      if (fields.length > 0) {
        text.push(`${head}${labels.map(({ piece, codes }) => piece(codes[row])).join('')} ${fields.join(',')} ${stamp}\n`);
      }
    }
  }
  return text.join('');
}

// More are not held in memory at once: the host sends halves.
const MOST_ROWS = 20_000;

class Delivery {
  constructor(settings) {
    this.database = settings.text('database');
    this.authenticates = settings.isSet('user') && settings.isSet('password');
  }

  begin(batch) {
    const verdict = new Verdict();
    if (batch.check()) return { tag: 'done', val: verdict };
    const rows = batch.metrics().reduce((sum, metric) => sum + metric.liveRows(), 0);
    if (rows > MOST_ROWS) {
      verdict.split(`${rows} rows, and one delivery takes ${MOST_ROWS}`);
      return { tag: 'done', val: verdict };
    }
    const text = lines(batch);
    if (text === '') return { tag: 'done', val: verdict };
    const request = new Request('url', 'POST');
    request.path('/write');
    request.query('db', this.database);
    request.query('precision', 's');
    if (this.authenticates) request.basicAuth('user', 'password');
    request.write(new TextEncoder().encode(text));
    return { tag: 'send', val: request };
  }

  step(outcome) {
    const verdict = new Verdict();
    const status = outcome.status();
    const seconds = Number.parseInt(outcome.header('retry-after') ?? '', 10);
    const after = Number.isNaN(seconds) ? undefined : seconds;
    if (status === undefined) verdict.retry(outcome.failure() ?? 'no answer', undefined);
    else if (status === 401 || status === 403) verdict.stop(`HTTP ${status}`);
    else if (status === 413) verdict.split(`HTTP ${status}`);
    else if (status === 408 || status === 429 || status >= 500) verdict.retry(`HTTP ${status}`, after);
    else if (status >= 300 && status < 400) verdict.stop(`HTTP ${status}, a redirect`);
    else if (status >= 400) verdict.reject(`HTTP ${status}`);
    return { tag: 'done', val: verdict };
  }
}

export const push = { Delivery };
