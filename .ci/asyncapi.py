"""Hold the published AsyncAPI document against AsyncAPI's schema. Argument: npm's package @asyncapi/specs 6.11.1."""

import base64
import hashlib
import json
import sys
import tarfile
from pathlib import Path

import jsonschema

INTEGRITY = "A3WBLqAKGoJ2+6FWFtpjBlCQ1oFCcs4GxF7zsIGvNqp/klGUHjlA3aAcZ9XMMpLGE8zPeYDz2x9FmO6DSuKraQ=="

package = Path(sys.argv[1])
if base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() != INTEGRITY:
    sys.exit(f"{package} is not the package that was pinned; remove it and run again")
document = json.loads(Path("schemas/published/asyncapi.json").read_text("utf-8"))
with tarfile.open(package) as files:
    schema = json.load(files.extractfile(f"package/schemas/{document['asyncapi']}.json"))
errors = list(jsonschema.Draft7Validator(schema).iter_errors(document))
for error in errors:
    print(f"{error.json_path}: {error.message[:300]}")
if errors:
    sys.exit(f"asyncapi.json is not AsyncAPI {document['asyncapi']}")
print(f"asyncapi.json is AsyncAPI {document['asyncapi']}")
