"""Whatever Python code does while a server is calling it: no crash, other connections are served on, and the loop survives."""

import evil_http
import evil_judge
import pytest

#: Python reports what a finalizer or a callback of the ssl module raises, whatever it is, and nobody can catch it.
REPORTED = {"finalizer_of_handler", "finalizer_of_header", "tls_server_name", "tls_server_name_late"}
CHUNKS = {"evil_http_handlers": 12, "evil_http_connections": 6, "evil_http_tls": 4}
JUDGES = {module: evil_judge.Judge(module, chunk=chunk) for module, chunk in CHUNKS.items()}


@pytest.mark.parametrize("implementation", evil_http.IMPLEMENTATIONS)
@pytest.mark.parametrize("module, hook", [(module, hook) for module, judge in JUDGES.items() for hook in judge.hooks])
def test_evil_callback_harms_nobody_else(module, hook, implementation):
    outcomes = JUDGES[module].played(hook)[implementation]
    assert any(not outcome.get("skipped", True) for outcome in outcomes.values()), "no deed was done"
    problems = [f"{name}: {problem}" for name, outcome in outcomes.items() for problem in judge(hook, name, outcome)]
    if problems:
        command = f"python tests/unit/evil_stage.py {module} {implementation} {hook}/DEED"
        pytest.fail("\n".join([command, *problems]), pytrace=False)


def judge(hook, name, outcome):
    """What is wrong with it."""
    if "crash" in outcome:
        yield outcome["crash"]
        return
    if outcome["problem"]:
        yield outcome["problem"]
    if hook in REPORTED:
        return
    if name.partition("/")[2] in evil_http.EXITS and not outcome["skipped"] and not outcome["left"]:
        yield f"the exception did not leave the loop; {outcome['notes']}"
    elif outcome["notes"] and not hook.startswith("logging_"):
        yield str(outcome["notes"])
