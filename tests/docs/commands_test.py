"""What README and docs tell people to type: commands, options, recipes, settings and files of the repository exist.

commands_test.py PROGRAM
"""

import pathlib
import re
import shlex
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES_OF_THE_REPOSITORY = re.compile(r"(?:recipes|bench|models|tools|tests|container|packages)[\w./-]*\.\w+")
PLACEHOLDER = re.compile(r"NAME|<")
PROGRAM = sys.argv.pop(1)


def run(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def lines_to_type(page):
    """(line of the page, what is typed there), of fenced blocks in shell or without a language and of `code` that calls the program."""
    inside, held, began = None, "", 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            inside = None if inside is not None else fence[1]
        elif inside in ("", "sh", "bash"):
            began = began if held else number
            held += line.rstrip("\\") if line.endswith("\\") else line
            if not line.endswith("\\"):
                yield began, held
                held = ""
        elif inside is None:
            for code in re.findall(r"`(mambaseg [^`]+)`", line):
                yield number, code


def calls(line):
    """Arguments of each call of the program in a line."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    for piece in " ".join(shlex.quote(word) for word in words).replace("';'", ";").split(" ; "):
        words = shlex.split(piece)
        if "mambaseg" in words:
            words = words[words.index("mambaseg") + 1:]
            for end in (";", "&", "|", "done", ";done"):
                words = words[:words.index(end)] if end in words else words
            if words and re.fullmatch(r"[a-z]+", words[0]):
                yield words


class TypedAsWritten(unittest.TestCase):
    def setUp(self):
        self.commands = set(re.findall(r"^  ([a-z]+) ", run("--help")[1], re.MULTILINE))
        self.recipes = set(re.findall(r"^\s*(\w+)", run("recipe")[1], re.MULTILINE))
        self.helps = {}

    def help_of(self, command):
        if command not in self.helps:
            self.helps[command] = run(command, "--help")[1]
        return self.helps[command]

    def check(self, words):
        command, rest = words[0], words[1:]
        self.assertIn(command, self.commands)
        if command == "cohort" and "--" in rest:
            self.check(rest[rest.index("--") + 1:])
            rest = rest[:rest.index("--")]
        for word in rest:
            if re.match(r"--?[a-z]", word):
                self.assertRegex(self.help_of(command), r"(?m)(^|[\s,])%s\b" % re.escape(word.split("=")[0]))
        recipe = next((word for word in rest if word in self.recipes or re.match(r"recipes/[\w/]+\.toml$", word)), None)
        if recipe and "studies/" not in recipe and command in ("train", "plan", "prepare", "recipe"):
            settings = [word for before, word in zip(rest, rest[1:]) if before == "--set"]
            settings = [s for s in settings if not re.match(r"data\.(dataset\.folder|split\.file|cache)=", s) and "$" not in s]
            code, said = run("recipe", str(ROOT / recipe) if "/" in recipe else recipe, *[x for s in settings for x in ("--set", s)])
            self.assertEqual(code, 0, said)
        if command == "networks" and rest and not PLACEHOLDER.search(rest[0]):
            code, said = run(command, *rest)
            self.assertEqual(code, 0, said)

    def test_commands(self):
        checked = 0
        for page in pages():
            for number, line in lines_to_type(page):
                for words in calls(line):
                    with self.subTest(place=f"{page.relative_to(ROOT)}:{number}", words=words):
                        self.check(words)
                        checked += 1
        self.assertGreater(checked, 100)

    def test_files_of_the_repository(self):
        for page in pages():
            for number, line in lines_to_type(page):
                for file in FILES_OF_THE_REPOSITORY.findall(line.split(" -o ")[0]):
                    with self.subTest(place=f"{page.relative_to(ROOT)}:{number}", file=file):
                        self.assertTrue(PLACEHOLDER.search(file) or (ROOT / file).exists())

    def test_links(self):
        for page in pages():
            for link in re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", page.read_text()):
                with self.subTest(page=str(page.relative_to(ROOT)), link=link):
                    self.assertTrue((page.parent / link).exists())


if __name__ == "__main__":
    unittest.main()
