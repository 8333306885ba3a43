"""The package as a whole: what importing it needs, that its stubs say what is there, that its threads let go."""

import ast
import inspect
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

import qconv


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True)


def test_import_needs_numpy_alone():
    code = "import sys, qconv; print(sorted({'torch', 'onnx', 'nanobind', 'pytest'} & set(sys.modules)))"
    result = run(code)
    assert result.stdout.strip() == "[]", result.stderr


def test_environment_is_obeyed_and_checked():
    assert run("import qconv; print(qconv.active_isa())", QCONV_ISA="scalar").stdout.strip() == "scalar"
    assert run("import qconv; print(qconv.get_num_threads())", QCONV_NUM_THREADS="3").stdout.strip() == "3"
    result = run("import qconv; qconv.active_isa()", QCONV_ISA="pentium")
    assert "ValueError" in result.stderr and "pentium" in result.stderr


def test_threads():
    before = qconv.get_num_threads()
    try:
        qconv.set_num_threads(1)
        assert qconv.get_num_threads() == 1
    finally:
        qconv.set_num_threads(before)
    assert qconv.list_engines()[-1] == "reference" and qconv.active_isa() in qconv.list_isas()


@pytest.mark.filterwarnings("ignore:This process")  # that forks and threads do not mix: here they do
def test_a_forked_child_has_threads_of_its_own(quantized, weight):
    before = qconv.get_num_threads()
    qconv.set_num_threads(2)
    try:
        packed = qconv.ops.conv2d_prepack(weight(32, 32, 3, 3))
        x = quantized(4, 32, 40, 40)
        want = qconv.ops.conv2d(x, packed, 0.1, 100)
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a child that hangs dies of it
            ok = qconv.equal(qconv.ops.conv2d(x, packed, 0.1, 100), want) and qconv.get_num_threads() == 2
            os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        qconv.set_num_threads(before)


def test_the_gil_is_released(quantized, weight):
    packed = qconv.ops.conv2d_prepack(weight(64, 64, 3, 3), None, padding=1, engine="reference")
    x = quantized(1, 64, 48, 48)
    ticks = []
    done = threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(1)
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    before = len(ticks)
    qconv.ops.conv2d(x, packed, 0.1, 100)  # long in plain loops
    during = len(ticks) - before
    done.set()
    thread.join()
    assert during > 5


def stub_names(path):
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.ImportFrom, ast.Import)):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
    return names


def test_stubs_name_everything():
    package = pathlib.Path(qconv.__file__).parent
    folder = package if (package / "__init__.pyi").exists() else pathlib.Path(os.environ["QCONV_STUBS"])
    for module, file in [(qconv, "__init__.pyi"), (qconv.ops, "ops.pyi"), (qconv.nn, "nn/__init__.pyi"),
                         (qconv.nn.quantized, "nn/quantized/__init__.pyi")]:
        public = {name for name in dir(module) if not name.startswith("_") and not name.endswith("_")} - {"torch"}
        missing = public - stub_names(folder / file)
        assert not missing, (file, missing)


def test_names_are_where_users_find_them():
    assert qconv.Tensor.__module__ == "qconv" and qconv.nn.quantized.Conv2d.__module__ == "qconv.nn.quantized"


@pytest.mark.parametrize("module", [qconv, qconv.ops, qconv.nn, qconv.nn.quantized, qconv.nn.quantized.dynamic])
def test_everything_is_documented(module):
    public = [getattr(module, name) for name in dir(module) if not name.startswith("_")]
    bare = [thing for thing in public if callable(thing) and not (thing.__doc__ or "").strip()]
    for cls in filter(inspect.isclass, public):
        for name, method in vars(cls).items():
            signatures = getattr(method, "__nb_signature__", None)
            if not name.startswith("_") and signatures and not any(signature[1] for signature in signatures):
                bare.append(f"{cls.__name__}.{name}")
    assert not bare
