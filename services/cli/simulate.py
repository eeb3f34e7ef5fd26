"""`tierline simulate --policy P --script S`: the analyst's sandbox."""

import sys
from pathlib import Path

import click

from services.analyst import narrative, ndjson, script
from services.analyst.simulate import World
from services.local.errors import MISUSED, CannotStart
from services.scorer.policies import read

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--policy", type=_FILE, required=True, help="The policy that holds from the beginning.")
@click.option("--script", "file", type=_FILE, required=True, help="What happens, one JSON object a line (NDJSON).")
@click.option("--json", "as_json", is_flag=True, help="Print what comes out as NDJSON.")
def simulate(policy: Path, file: Path, as_json: bool) -> None:
    """Play a script of events against a policy, on a clock of its own, and print what comes out, and why.

    \b
    Each line of the script has `at`, the instant of the clock, and one of:
      {"at": "2026-03-01T00:00:00.000Z", "event": {... as it is posted to /v1/events ...}}
      {"at": ..., "activate": "policy-v2.yaml", "effective_at": "2026-03-10T12:00:00.000Z"}
      {"at": ..., "merge": {"from": "b", "into": "a"}}            and unmerge
      {"at": ..., "erase": {"subject": "a"}}
      {"at": ..., "override": {"subject": "c", "dimension": "tier", "value": "key", "owner": "li",
                               "reason": "contract", "until": "2026-06-01T00:00:00.000Z"}}
      {"at": ..., "query": {"subject": "c"}}

    Between the lines time passes: windows end, graces run out. Every policy of the script sees all fields of all
    events; a running house refuses one that asks for a new field until `tierline rebuild --for` has run. A refused
    event, merge, unmerge or erasure is a dead letter, named `line-` and the line's number where it has no id, and the
    run goes on. An override without a value ("value": null) ends those before it, until its own end. One that no
    dimension or value of the policy answers to is remarked on standard error.

    Exit codes: 0 done, 2 the policy or the script cannot be used (the line and the remedy are named).
    """
    world = World(read(policy))
    try:
        steps = script.read(file)
    except script.ScriptError as error:
        raise CannotStart(str(error), exit_code=MISUSED) from error
    if as_json:
        for happening in world.run(steps):
            sys.stdout.buffer.write(ndjson.line(happening) + b"\n")
        sys.stdout.flush()
    else:
        for line in narrative.tell(list(world.run(steps))):
            click.echo(line)
    for remark in world.remarks:
        click.echo(f"tierline: {remark}", err=True)
