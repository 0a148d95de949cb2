// A client of the gateway that speaks OAuth 2.0 with openid-client. Argument: the issuer.
//
// Each line read says in JSON what to do, and as which client; each line written what came of it.

import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { Issuer, custom, errors } from 'openid-client';

custom.setHttpOptionsDefaults({ timeout: 20_000 });
const issuer = await Issuer.discover(`${process.argv[1]}/.well-known/oauth-authorization-server`);

function known({ client_id, method, secret, key_file }) {
  const metadata = { client_id, client_secret: secret, token_endpoint_auth_method: method };
  if (key_file === undefined) return new issuer.Client(metadata);
  const jwk = createPrivateKey(readFileSync(key_file)).export({ format: 'jwk' });
  return new issuer.Client(metadata, { keys: [jwk] });
}

const calls = {
  metadata: () => issuer.metadata,
  grant: ({ client, scope }) => known(client).grant({ grant_type: 'client_credentials', scope }),
  refresh: ({ client, refresh_token }) => known(client).refresh(refresh_token),
  revoke: ({ client, token, hint }) => known(client).revoke(token, hint),
  introspect: ({ client, token, hint }) => known(client).introspect(token, hint),
};

async function answer({ call, ...asked }) {
  try {
    return { answer: (await calls[call](asked)) ?? {} };
  } catch (error) {
    if (!(error instanceof errors.OPError)) throw error;
    return { error: error.error, description: error.error_description };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
