"""AWS' Security Token Service, as moto plays it, and tokens for it, by AWS' own library.

    sts.py serve PORT             answers requests that are signed in their address
    sts.py token PORT AUDIENCE    prints a token of the role orders-lambda
"""

import sys
from urllib.parse import parse_qs


def serve(port):
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    moto = DomainDispatcherApplication(create_backend_app)

    def answer(environ, start):
        # moto finds the service and the caller by a header, which is made of the address.
        signed = parse_qs(environ.get("QUERY_STRING", ""))
        if "HTTP_AUTHORIZATION" not in environ and "X-Amz-Credential" in signed:
            credential, headers, signature = (
                signed[f"X-Amz-{name}"][0] for name in ("Credential", "SignedHeaders", "Signature")
            )
            environ["HTTP_AUTHORIZATION"] = (
                f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={headers}, "
                f"Signature={signature}"
            )
        return moto(environ, start)

    run_simple("127.0.0.1", port, answer, threaded=True)


def token(port, audience):
    import boto3
    from botocore.signers import RequestSigner

    region, endpoint = "eu-west-1", f"http://127.0.0.1:{port}"
    session = boto3.Session("AKIAIOSFODNN7EXAMPLE", "secret", region_name=region)
    client = session.client("sts", endpoint_url=endpoint)
    role = client.assume_role(
        RoleArn="arn:aws:iam::123456789012:role/orders-lambda", RoleSessionName="i-1"
    )["Credentials"]
    keys = (role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"])
    session = boto3.Session(*keys, region_name=region)
    service = client.meta.service_model.service_id
    signer = RequestSigner(service, region, "sts", "v4", session.get_credentials(), session.events)
    request = {
        "method": "GET",
        "url": f"{endpoint}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-millpond-audience": audience},
        "context": {},
    }
    return signer.generate_presigned_url(
        request, region_name=region, expires_in=900, operation_name=""
    )


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    print(token(int(sys.argv[2]), sys.argv[3]))
