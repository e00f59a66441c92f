"""The `course` command as a user meets it: by what it prints and how it ends.

Where starting, stopping or a clean machine matters it runs in a process of its own, which imports torch for seconds.
"""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from unittest import mock

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from course_lib.checkpoint import save_weights
from course_lib.cli import main
from course_lib.data_sets import DATA_SETS
from course_lib.doctor import examine
from course_lib.extras import how_to_install
from course_lib.models import OFFLINE, PneumoniaCNN

ROOT = Path(__file__).parents[1]


def own_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "course_lib", *map(str, arguments)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=settings, stdin=subprocess.DEVNULL)


def course(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["course", *map(str, arguments)]),
        mock.patch.dict(os.environ, environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(list(map(str, arguments)), code, out.getvalue(), err.getvalue())


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed with one sentence on stderr that holds `words`."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("course: ")]
    assert len(said) == 1, done.stderr
    for word in words:
        assert word in said[0]


TRAIN = ("--data", "real", "--image-size", 32, "--epochs", 4)


@pytest.fixture(scope="module")
def trained(kaggle_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = own_process("train", "pneumonia", *TRAIN, "--root", kaggle_images, "--out", folder)
    assert done.returncode == 0, done.stderr
    # In a pipe there is no progress bar, but a line for the data, one for the training and one for each epoch.
    line, training, *epochs = done.stderr.splitlines()
    assert training == "Training CompactCNN on 68 images for 4 epochs."
    assert [epoch.split(":")[0] for epoch in epochs] == [f"epoch {number}/4" for number in (1, 2, 3, 4)]
    assert "val auc" in epochs[0]
    assert epochs[0].endswith("left")
    assert line.startswith(
        f"Data: real chest X-rays in {kaggle_images / 'chest_xray'}: 40 NORMAL, 40 PNEUMONIA in train; "
    )
    assert f"now: course evaluate {folder}" in done.stdout
    assert re.search(r"trained in \d+ s, 6 GFLOP, [\d.]+% of this machine's peak; now", done.stdout)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, for one test to use and to spoil."""
    return shutil.copytree(trained, tmp_path / "run")


def test_every_command_has_help_with_an_example() -> None:
    for command in (
        "lab",
        "run",
        "build",
        "doctor",
        "release",
        "grade",
        "export",
        "train",
        "evaluate",
        "predict",
        "data list",
        "data get",
        "data audit",
    ):
        done = course(*command.split(), "--help")
        assert done.returncode == 0
        assert f"Example: course {command}" in done.stdout


def test_from_training_to_a_prediction(run: Path, kaggle_root: Path, tmp_path: Path) -> None:
    evaluated = own_process("evaluate", run, "--data", "real", "--root", kaggle_root, "--split", "test", "--json")
    scores = json.loads(evaluated.stdout)
    assert (scores["task"], scores["split"], scores["n"]) == ("pneumonia", "test", 20)
    assert 0 <= scores["ci95"]["auc"][0] <= scores["auc"] <= 1
    table = course("evaluate", run, "--split", "val")
    assert "balanced_accuracy" in table.stdout
    said = course("predict", run, *(kaggle_root / "chest_xray" / "test" / "NORMAL").iterdir())
    lines = [line for line in said.stdout.splitlines() if not line.startswith("  unlike")]
    assert (said.returncode, len(lines)) == (0, 11)
    assert "probability of PNEUMONIA" in lines[0]
    assert f"(threshold {scores['threshold']:.3f}, chosen on validation)" in lines[0]
    assert "Not for diagnosis" in lines[-1]


def test_a_prediction_is_explained_in_a_picture(run: Path, kaggle_root: Path, tmp_path: Path) -> None:
    scan, *others = (kaggle_root / "chest_xray" / "test" / "NORMAL").iterdir()
    out = tmp_path / "out.png"
    done = course("predict", run, scan, "--explain", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{out}: what spoke for" in done.stdout
    assert Image.open(out).size == (1050, 510)
    refused(course("predict", run, scan, *others, "--explain", out), "--explain draws one image")


def test_evaluation_needs_nothing_but_a_test_folder(run: Path, kaggle_root: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(kaggle_root / "chest_xray" / "test", own / "chest_xray" / "test")
    done = course("evaluate", run, "--data", "real", "--root", own, "--split", "test", "--json")
    assert json.loads(done.stdout)["n"] == 20


def test_the_other_images_are_still_classified_when_one_cannot_be_read(run: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (90, 70)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"not an image")
    done = course("predict", run, tmp_path / "bad.png", tmp_path / "good.png")
    refused(done, "bad.png: not a readable image")
    assert "good.png: " in done.stdout


def test_one_trouble_of_any_kind_does_not_take_the_other_images_with_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("huge", "good"):
        Image.new("L", (90, 70)).save(tmp_path / f"{name}.png")
    (tmp_path / "README.md").write_text("BMI of the café: a note, no image.\n", encoding="utf-8")
    (tmp_path / "page.png").write_bytes(b"%PDF-1.7\n")
    decode = Image.open

    def fails(path: Path) -> Image.Image:
        if "huge" in str(path):
            raise RuntimeError("odd")
        return decode(path)

    monkeypatch.setattr("course_lib.data.decode.Image.open", fails)
    monkeypatch.setattr("course_lib.runs.evaluate._notice", mock.Mock(side_effect=[MemoryError("full"), "", ""]))
    paths = [tmp_path / name for name in ("good.png", "huge.png", "README.md", "page.png", "good.png")]
    done = course("predict", run, *paths)
    assert done.returncode == 1
    assert [line.split(": ")[0] for line in done.stdout.splitlines()[:-1]] == [str(tmp_path / "good.png")]
    memory, odd, text, page = done.stderr.splitlines()
    assert memory == f"course: {tmp_path / 'good.png'}: MemoryError: full"
    assert "huge.png: not a readable image" in odd
    assert "README.md: not a readable image: it is text" in text
    assert "pages to print, a format that is not read" in page


def test_color_is_noticed_and_a_run_of_before_says_that_it_cannot_tell(run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (90, 70), "orange").save(tmp_path / "orange.png")
    done = course("predict", run, tmp_path / "orange.png")
    assert "  unlike the images that the network learned from: it is in color, and those were gray" in done.stdout
    assert "; the answer may mean nothing" in done.stdout
    (run / "reference.safetensors").unlink()
    done = course("predict", run, tmp_path / "orange.png")
    assert done.returncode == 0
    assert "cannot tell images that are unlike those it learned from" in done.stdout


def test_a_killed_training_resumes_to_the_same_weights(run: Path, kaggle_root: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    arguments = ["train", "pneumonia", *TRAIN, "--root", kaggle_root, "--out", killed]
    command = [sys.executable, "-m", "course_lib", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (killed / "state.pt").exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (killed / "weights.safetensors").exists(), "the training ended before it could be killed"
    done = course("train", "pneumonia", "--out", killed, "--resume")
    assert done.returncode == 0, done.stderr
    whole, resumed = (load_file(folder / "weights.safetensors") for folder in (run, killed))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_training_that_diverges_names_the_option_that_mends_it(kaggle_root: Path, tmp_path: Path) -> None:
    options = (*TRAIN, "--root", kaggle_root, "--learning-rate", 1e30)
    refused(course("train", "pneumonia", *options, "--out", tmp_path / "run"), "loss became", "(--learning-rate)")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child")
def test_ctrl_c_keeps_the_last_epoch_and_says_how_to_go_on(kaggle_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["train", "pneumonia", "--data", "real", "--image-size", 32, "--epochs", 500, "--root", kaggle_root]
    process = subprocess.Popen(
        [sys.executable, "-m", "course_lib", *map(str, command), "--out", out],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )
    while not (out / "state.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "go on with --resume" in said
    assert (out / "state.pt").exists()


def test_faults_end_in_one_sentence(run: Path, kaggle_root: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    out = ("--out", tmp_path / "other")
    refused(course("train", "pneumonia", "--data", "real", "--root", empty, *out), "no chest X-rays there")
    refused(course("train", "pneumonia", *TRAIN, "--root", kaggle_root, "--out", run), "holds a run already")
    refused(course("train", "pneumonia", *out, "--resume"), "not a run folder")
    by_default = ("--epochs", 20, "--out", run, "--resume")  # the preset's own number of epochs
    refused(course("train", "pneumonia", *by_default), "was started with epochs=4, not 20; resume without")
    refused(course("evaluate", empty), "not a run folder", "course train")
    save_weights(run / "weights.safetensors", PneumoniaCNN(32))
    refused(course("evaluate", run), "weights.safetensors: holds weights of PneumoniaCNN")
    cut = kaggle_root / "chest_xray" / "train" / "NORMAL" / "IM-0003-0001.jpeg"
    cut.write_bytes(cut.read_bytes()[:400])
    refused(course("train", "pneumonia", *TRAIN, "--root", kaggle_root, *out), "IM-0003-0001.jpeg", "delete it")
    for path in cut.parent.iterdir():
        path.unlink()
    refused(course("train", "pneumonia", *TRAIN, "--root", kaggle_root, *out), "NORMAL: an empty class")
    cut.parent.rmdir()
    refused(course("train", "pneumonia", *TRAIN, "--root", kaggle_root, *out), "one class only (PNEUMONIA)")


def test_a_backbone_learns_class_folders_and_predicts(kaggle_images: Path, tmp_path: Path) -> None:
    out, pictures = tmp_path / "run", kaggle_images / "chest_xray" / "train"
    arguments = ("--task", "folder", "--root", pictures, "--epochs", 1, "--image-size", 32, "--out", out)
    done = course("train", "transfer", *arguments)
    assert done.returncode == 0, done.stderr
    scan = next((pictures / "PNEUMONIA").iterdir())
    assert f"{scan}: PNEUMONIA, probability of PNEUMONIA" in course("predict", out, scan).stdout
    refused(course("train", "transfer", "--root", pictures), "needs --task pneumonia, cifar10 or folder")
    refused(course("train", "pneumonia", "--backbone", "resnet18"), "are for `course train transfer`, not for")
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    arguments = ("--task", "folder", "--root", pictures, "--backbone", "resnet18", "--out", tmp_path / "other")
    refused(course("train", "transfer", *arguments, **closed), "cannot be downloaded", OFFLINE)


def test_without_a_network_a_download_fails_in_one_sentence(tmp_path: Path) -> None:
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    refused(course("data", "get", "cifar10", **closed), "cannot be downloaded", "put the file there yourself")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = own_process("evaluate", tmp_path, "--debug")
    assert "Traceback" in done.stderr
    assert done.returncode != 0


def test_doctor_says_all_of_a_machine_on_one_page() -> None:
    page = course("doctor").stdout
    names = [line.split()[0] for line in page.splitlines()]
    assert names[:5] == ["system", "packages", "commands", "commands", "commands"]
    machine = ["place", "device", "GPU", "processor", "memory", "data"]
    assert names[5:] == [*machine, *DATA_SETS, "network", "sandbox"]
    for said in (version("torch"), "this machine", "same seed", "repeats itself", "free", "course data get cifar10"):
        assert said in page


def test_doctor_names_what_is_absent_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"torch": "2.5.1", "torchvision": "0.21.0+cpu"}

    def installed(name: str) -> str:
        if name == "captum":
            raise PackageNotFoundError(name)
        return held.get(name) or version(name)

    monkeypatch.setattr("course_lib.doctor.metadata.version", installed)
    page, healthy = examine()
    assert not healthy
    said = [line.split(maxsplit=1)[1] for line in page.splitlines()[1:]]
    assert said[:2] == ["captum is missing", "torch 2.5.1 is too old, >=2.6 is needed"]
    assert said[2] == how_to_install("notebooks")


def test_an_extra_that_is_absent_is_named_alike_by_its_command_and_by_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name == "furo":
            raise PackageNotFoundError(name)
        return version(name)

    call = f'{sys.executable} -m pip install -c "{ROOT / "requirements.lock"}" -e "{ROOT}[notebooks,site]"'
    monkeypatch.setattr("course_lib.doctor.metadata.version", installed)
    page, healthy = examine()
    assert healthy  # the lessons lack nothing
    assert f"course site: furo is missing; run: {call}" in page
    assert page.count("can be used") == 2
    for name in [name for name in sys.modules if name.startswith("course_lib.authoring.site")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "docutils", None)  # Python's way to say that it is not there
    refused(course("site"), "`course site` needs docutils", call)


def test_an_unsupported_python_is_the_first_thing_that_doctor_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_lib.doctor.unsupported", lambda: "The course needs another Python.")
    page, healthy = examine()
    assert not healthy
    assert page.splitlines()[1:] == ["The course needs another Python."]


def test_doctor_says_what_works_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr("socket.create_connection", closed)
    page, healthy = examine()
    assert healthy
    assert "github.com does not answer; the lessons do without it" in page


def test_data_list_names_every_set_with_its_licence() -> None:
    page = course("data", "list").stdout
    assert [line.split()[0] for line in page.splitlines()[::2]] == [*DATA_SETS, "simulated"]
    assert "CC BY 4.0" in page


def test_data_audit_names_each_split_and_each_pair_on_a_narrow_page(kaggle_root: Path) -> None:
    lines = course("data", "audit", "chest_xray", "--data", "real", "--root", kaggle_root).stdout.splitlines()
    heads = [line.split(":")[0] for line in lines[1:] if not line.startswith(" ")]
    assert heads == ["train", "val", "test", "train and val", "train and test", "val and test"]
    assert max(map(len, lines)) <= 88


def test_lessons_that_are_not_there_or_cannot_have_their_images_are_refused(tmp_path: Path) -> None:
    refused(course("run", "77"), "lesson 77", "there are: 01")
    refused(course("run", "01", "--root", tmp_path), "neither chest X-rays nor CIFAR-10 there")
    refused(course("run", "01", "--data", "simulated", "--root", tmp_path), "leave one of them out")
    refused(course("run", "01", "--compare", "--data", "real"), "the saved outputs are of simulated images")
    refused(course("run", "01", "--compare", "--record"), "the saved outputs are of simulated images")
    refused(course("run", "02", "--record"), "--record keeps what lessons find on real images", "add --data real")
    refused(course("build", "77"), "lesson 77", "there are: 01")


def test_training_twice_in_the_folder_of_the_images_takes_no_run_for_a_class(
    kaggle_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = shutil.copytree(kaggle_images / "chest_xray" / "train", tmp_path / "pictures")
    monkeypatch.chdir(pictures)
    train = ("train", "transfer", "--task", "folder", "--root", ".", "--epochs", 1, "--image-size", 32)
    assert course(*train).returncode == 0
    assert course("evaluate", "runs/transfer-folder-0").returncode == 0
    again = course(*train, "--seed", 1)
    assert again.returncode == 0, again.stderr
    assert "2 classes (NORMAL, PNEUMONIA)" in again.stderr


def test_without_test_images_the_advice_after_training_works(kaggle_images: Path, tmp_path: Path) -> None:
    for theirs, mine in (("train", "train"), ("test", "val")):
        shutil.copytree(kaggle_images / "chest_xray" / theirs, tmp_path / "own" / mine)
    out = tmp_path / "run"
    options = ("--task", "folder", "--root", tmp_path / "own", "--epochs", 1, "--image-size", 32, "--out", out)
    done = course("train", "transfer", *options)
    advice = done.stdout.splitlines()[-1].partition("now: course ")[2].split()
    assert advice == ["evaluate", str(out), "--split", "val"]
    assert course(*advice).returncode == 0
    refused(course("evaluate", out), "no images for test, only train and val", "--split val")


def test_the_command_asks_and_takes_the_answer(kaggle_images: Path, tmp_path: Path) -> None:
    for name in ("NORMAL", "PNEUMONIA"):
        for kind in ("images", "masks"):
            shutil.copytree(kaggle_images / "chest_xray" / "train" / name, tmp_path / "own" / name / kind)
    out = tmp_path / "run"
    options = ("train", "transfer", "--task", "folder", "--root", tmp_path / "own", "--epochs", 1, "--image-size", 32)
    refused(course(*options, "--out", out), "can be read in two ways", "--subfolder 'images'")
    done = course(*options, "--out", out, "--subfolder", "images")
    assert "left out: 80 images in masks" in done.stderr
    assert course("evaluate", out).returncode == 0  # by the same folder
    refused(course("train", "pneumonia", "--classes", "a,b"), "--classes and --subfolder are for")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_any_console_shows_any_name(run: Path, tmp_path: Path) -> None:
    scan = Path(os.fsdecode(os.fsencode(tmp_path) + b"/R\xf6ntgen \xc3\xa9\xe2\x82\xac.png"))
    Image.new("L", (40, 40)).save(scan)
    for encoding in ("ascii", "utf-8", "cp1252"):
        command = [sys.executable, "-m", "course_lib", "predict", str(run), scan, str(scan) + "gone"]
        settings = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, check=False, env=settings)
        assert b"probability of PNEUMONIA" in done.stdout, done.stderr
        assert b"no such file" in done.stderr
        assert b"Traceback" not in done.stderr
