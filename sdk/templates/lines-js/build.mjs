// node build.mjs WIT OUTPUT: makes the component. Features that are left out are not imported, so nobody has to agree to them.
import { componentize } from '@bytecodealliance/componentize-js';
import { readFile, writeFile } from 'node:fs/promises';

const [wit, output, ...kept] = process.argv.slice(2);
const unwanted = ['http', 'fetch-event', 'random', 'clocks'].filter((feature) => !kept.includes(feature));
const { component } = await componentize(await readFile(new URL('lines.js', import.meta.url), 'utf8'), {
  witPath: wit,
  worldName: 'push-adapter',
  disableFeatures: unwanted,
});
await writeFile(output, component);
