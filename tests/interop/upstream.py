# pip install 'pyjwt[crypto]'; python3 upstream.py https://gateway.example 9001
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

issuer, port = sys.argv[1], int(sys.argv[2])
keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")


def caller(token):
    key = keys.get_signing_key_from_jwt(token)
    told = jwt.decode_complete(token, key, ["ES256"], issuer=issuer, audience="orders")
    if told["header"]["typ"] != "internal+jwt":
        raise jwt.InvalidTokenError("this is a token of another kind")
    return told["payload"]


class Orders(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            who = caller(self.headers.get("Authorization", "").removeprefix("Bearer "))
        except jwt.PyJWKClientConnectionError:
            return self.send_error(503)
        except jwt.PyJWTError:
            return self.send_error(401)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(who).encode())


ThreadingHTTPServer(("127.0.0.1", port), Orders).serve_forever()
