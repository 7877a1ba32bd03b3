import { type ReadFile, readYamlFile } from '../../campaign/read-yaml.ts';
import { checkConnectors } from './check.ts';
import { type ConnectorsDraft, ConnectorsFile } from './schema.ts';

/**
 * Reads a connectors file: what it holds, or every mistake that is in it. A secret that the environment lacks is one.
 * Never throws.
 */
export const readConnectors = (
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): ReadFile<ConnectorsDraft> =>
  readYamlFile<ConnectorsDraft>(text, {
    schema: ConnectorsFile,
    what: 'connectors, as in examples/connectors.yaml',
    checkMeaning: (draft, { isWellFormed }) => checkConnectors(draft, env, isWellFormed),
  });
