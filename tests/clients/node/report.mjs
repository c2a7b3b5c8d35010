// Reports one error with @backtrace/node as an application would.
//
// usage: report.mjs URL TOKEN KIND     (TOKEN may be "-": the URL has it in its path)
// KIND is handled, message, breadcrumbs, attachment, unhandled or next-start. An unhandled error ends the process before anything
// can be sent: the client keeps it in its database (TIDEGATE_TEST_DATABASE) and sends it at the next start.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

// The packages lie in the environment that tests/setup.sh made, this script in the source tree.
const require = createRequire(join(process.env.TIDEGATE_TEST_NODE, 'package.json'));
const { BacktraceClient, BacktraceFileAttachment } = require('@backtrace/node');

const [url, token, kind] = process.argv.slice(2);
const database = process.env.TIDEGATE_TEST_DATABASE;
const client = BacktraceClient.initialize({
    url,
    token: token === '-' ? undefined : token,
    userAttributes: {
        application: 'checkout',
        'application.version': '1.4.2',
        client: 'node',
        kind,
        nothing: null,
    },
    metrics: { enable: false },
    breadcrumbs: { enable: kind === 'breadcrumbs' },
    database: database ? { enable: true, path: database, createDatabaseDirectory: true, captureNativeCrashes: false } : { enable: false },
});

function told(result) {
    console.log(JSON.stringify({ status: result.status, rxid: result.result?._rxid }));
    process.exit(result.status === 'Ok' ? 0 : 1);
}

if (kind === 'handled') {
    told(await client.send(new TypeError('cannot read the cart'), { ratio: 0.5, count: 3 }));
} else if (kind === 'message') {
    told(await client.send('the disk is nearly full', { free: 12 }));
} else if (kind === 'breadcrumbs') {
    client.breadcrumbs.info('the user opened the cart', { items: 2 });
    console.warn('a warning that becomes a breadcrumb');
    told(await client.send(new RangeError('too many items')));
} else if (kind === 'attachment') {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-client-'));
    const file = join(folder, 'last.log');
    writeFileSync(file, 'last lines before the error\n');
    const result = await client.send(new Error('with a file'), {}, [new BacktraceFileAttachment(file)]);
    rmSync(folder, { recursive: true });
    told(result);
} else if (kind === 'unhandled') {
    setTimeout(() => {
        throw new Error('nobody caught this');
    }, 10);
} else if (kind === 'next-start') {
    // The client reads its database and sends what it finds there by itself; done when a record has left it.
    client.database.on('removed', () => {
        console.log(JSON.stringify({ left: client.database.count() }));
        process.exit(0);
    });
    setTimeout(() => process.exit(1), 20_000);
} else {
    console.error(`unknown kind ${kind}`);
    process.exit(2);
}
