"""What is known so far: gpu_check.json, and gpu_check.html for people. Written anew after each step, so that nothing is lost when
the machine goes."""
import html
import json
import os

WORDS = {"pass": "passed", "fail": "FAILED", "time": "ran out of time", "skip": "not run"}
STYLE = """body{font:15px/1.45 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0 1.6em}td,th{padding:.2em .9em .2em 0;text-align:left;vertical-align:top}
th{border-bottom:1px solid #999}td.n{text-align:right;font-variant-numeric:tabular-nums}tr.fail td,tr.time td{color:#a00}
tr.skip td{color:#777}pre{background:#f4f4f4;padding:.6em;overflow:auto}"""


class Record:
    def __init__(self, folder):
        self.folder = folder
        self.content = {"machine": {}, "steps": []}

    @property
    def path(self):
        return os.path.join(self.folder, "gpu_check.json")

    def take_up(self, machine):
        """Goes on with a record of the same machine and sources; True when there is one."""
        try:
            with open(self.path) as file:
                before = json.load(file)
        except (OSError, ValueError):
            before = None
        known = before is not None and all(before["machine"].get(key) == machine.get(key) for key in ("gpu", "commit"))
        self.content = {"machine": machine, "steps": before["steps"] if known else []}
        return known

    def step(self, name):
        return next((one for one in self.content["steps"] if one["name"] == name), None)

    def add(self, entry):
        """In place of one of the same name."""
        self.content["steps"] = [one for one in self.content["steps"] if one["name"] != entry["name"]] + [entry]
        self.write()

    def counts(self):
        return {status: sum(one["status"] == status for one in self.content["steps"]) for status in WORDS}

    def write(self):
        os.makedirs(self.folder, exist_ok=True)
        for path, text in ((self.path, json.dumps(self.content, indent=1) + "\n"),
                           (os.path.join(self.folder, "gpu_check.html"), page(self.content))):
            with open(path + ".part", "w") as file:
                file.write(text)
            os.replace(path + ".part", path)


def number(value):
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(head, rows):
    """Rows of cells; the class of a row comes first, numbers are right-aligned."""
    lines = ["<table><tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    for kind, *cells in rows:
        columns = "".join(f'<td class="n">{number(cell)}</td>' if isinstance(cell, (int, float)) else
                          f"<td>{html.escape(cell or '')}</td>" for cell in cells)
        lines.append(f'<tr class="{kind}">{columns}</tr>')
    return "\n".join(lines + ["</table>"])


def figures_table(steps):
    rows = []
    for step in steps:
        for one in step["figures"]:
            beside = one.get("beside")
            rows.append(("", step["name"], one["what"], one["value"], one["unit"], "" if beside is None else beside, one.get("beside_is", ""),
                         "" if not beside or not one["value"] else one["value"] / beside))
    return table(("step", "", "value", "", "beside it", "", "ratio"), rows)


def page(content):
    machine, steps = content["machine"], content["steps"]
    parts = ["<!doctype html><meta charset=utf-8><title>mambaseg on a GPU</title>", f"<style>{STYLE}</style>",
             f"<h1>mambaseg on {html.escape(machine.get('gpu') or 'a machine without a GPU')}</h1>",
             table(("", ""), [("", key, str(value)) for key, value in machine.items()]), "<h2>What ran</h2>",
             table(("step", "", "seconds", ""),
                   [(one["status"], one["name"], WORDS[one["status"]], one["seconds"], one["note"]) for one in steps])]
    for group in dict.fromkeys(one["group"] for one in steps):
        with_figures = [one for one in steps if one["group"] == group and one["figures"]]
        if with_figures:
            parts += [f"<h2>{html.escape(group)}</h2>", figures_table(with_figures)]
    for one in steps:
        if one["status"] in ("fail", "time") and one["said"]:
            parts += [f"<h2>What {html.escape(one['name'])} said</h2>", f"<pre>{html.escape(one['said'])}</pre>"]
    return "\n".join(parts) + "\n"
