// Verifies tokens with jose. Argument: the URL of the key set.
//
// Each line read is a token and what it should be, in JSON; each line written what came of it.

import { createInterface } from 'node:readline';

import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

// An unknown key is looked for at once; by default half a minute after the set was last fetched.
const keys = createRemoteJWKSet(new URL(process.argv[1]), { cooldownDuration: 0, timeoutDuration: 20_000 });

async function verify({ token, algorithm, issuer, audience, typ }) {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      algorithms: [algorithm],
      issuer,
      audience,
      typ,
      requiredClaims: ['sub', 'iat', 'exp', 'jti'],
    });
    return { key: protectedHeader.kid, claims: payload };
  } catch (error) {
    if (error instanceof errors.JWTClaimValidationFailed) return { refused: error.claim };
    if (error instanceof errors.JWSSignatureVerificationFailed) return { refused: 'signature' };
    if (error instanceof errors.JOSEAlgNotAllowed) return { refused: 'alg' };
    if (error instanceof errors.JWKSNoMatchingKey) return { refused: 'kid' };
    throw error;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await verify(JSON.parse(line))));
}
