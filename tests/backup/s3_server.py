"""moto's server, a local S3, which checks presigned requests too: by botocore, as moto itself checks signatures in headers.

s3_server.py PORT [CERTIFICATE KEY]"""

import sys
import time
from calendar import timegm
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import CreateAccessKeyFailure, create_access_key
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

MOTO = DomainDispatcherApplication(create_backend_app)
HEADERS = {"Authorization": "HTTP_AUTHORIZATION", "X-Amz-Date": "HTTP_X_AMZ_DATE",
           "X-Amz-Content-SHA256": "HTTP_X_AMZ_CONTENT_SHA256"}


def check(environ, signed, url):
    """Who has signed this, or the code of the refusal."""
    key, _, region, _, _ = signed["X-Amz-Credential"].split("/")
    try:
        found = create_access_key(DEFAULT_ACCOUNT_ID, "aws", key, {})
    except CreateAccessKeyFailure:
        return None, "InvalidAccessKeyId"
    credentials = found.create_credentials()
    auth = S3SigV4QueryAuth(credentials, "s3", region)
    request = AWSRequest("GET", url=url, headers={"host": environ["HTTP_HOST"]})
    request.context["timestamp"] = signed["X-Amz-Date"]
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if signature != signed["X-Amz-Signature"]:
        return None, "SignatureDoesNotMatch"
    age = time.time() - timegm(time.strptime(signed["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    if not -900 < age < int(signed["X-Amz-Expires"]):
        return None, "AccessDenied"
    return S3SigV4Auth(credentials, "s3", region), None


def serve(environ, start_response):
    query = environ.get("QUERY_STRING", "")
    signed = dict(parse_qsl(query))
    if "X-Amz-Signature" not in signed:
        return MOTO(environ, start_response)
    path = environ["RAW_URI"].split("?")[0]
    base = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{path}"
    rest = lambda leave: "&".join(pair for pair in query.split("&") if not unquote(pair).startswith(leave))
    auth, code = check(environ, signed, f"{base}?{rest('X-Amz-Signature=')}")
    if code:
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>{escape(query)}</Message></Error>".encode()]
    # As moto wants it.
    request = AWSRequest("GET", url=f"{base}?{rest('X-Amz-')}", headers={"host": environ["HTTP_HOST"]})
    auth.add_auth(request)
    for header, name in HEADERS.items():
        environ[name] = request.headers[header]
    environ["QUERY_STRING"] = rest("X-Amz-")
    environ["RAW_URI"] = environ["REQUEST_URI"] = f"{path}?{rest('X-Amz-')}"
    return MOTO(environ, start_response)


run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True, ssl_context=tuple(sys.argv[2:]) or None,
           request_handler=MotoRequestHandler)
