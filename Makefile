# Two commands for everyone: `make demo` and `make test`. The others are for those who change the model or the exporter.
PYTHON ?= python3
# On Linux, PyPI's torch brings several GB of CUDA: where a CPU build is at hand, name it (make test-train TORCH=...).
TORCH ?= torch==2.13.0
# The versions of CI; LOCK= takes the newest that pyproject.toml allows.
LOCK ?= -c constraints.txt
PIP = -m pip install --quiet --disable-pip-version-check
UV ?= uv
# uv heeds no upper bound of a package's Requires-Python, but pip does: 1.3 ends with Python 3.10.
UNSEEN = "backports.strenum<1.3; python_version >= '3.11'"
# All but bench, whose packages contradict those of mcp, and docs, which only the site is made with.
LOCKED = batch ray eval serve hub export train test browser wyoming mcp clients lint dev
PYTEST ?= -n auto --dist worksteal
# What mypy finds nothing in; the rest follows.
TYPED = edge_audio/bundle edge_audio/sampling edge_audio/model edge_audio/listening edge_audio/system edge_audio/evaluate \
	edge_audio/notes.py edge_audio/values.py edge_audio/edits.py edge_audio/windows.py edge_audio/request.py edge_audio/settings.py edge_audio/session.py edge_audio/pipeline.py edge_audio/errors.py \
	edge_audio/version.py edge_audio/__init__.py edge_audio/audio edge_audio/batch edge_audio/serve edge_audio/mcp edge_audio/cli edge_audio/lora edge_audio/hub edge_audio/exporter

.PHONY: help demo test test-slow test-ray test-browser test-clients test-newest coverage fuzz test-pythons lock lint shell docs figures test-train test-arm test-android pocket bench-full bench-sa3 clean

help:  ## the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/' | expand -t 14

demo: .venv/installed  ## make a sound with the bundled model
	.venv/bin/edge-audio generate "a plucked string at A3" --seconds 4 --seed 7 -o demo.wav

test: .venv-test/installed  ## the test suite, without a network once it is installed; COVERAGE=1 measures what it runs
	$(if $(COVERAGE),rm -rf build/coverage && mkdir -p build/coverage)
	.venv-test/bin/python $(if $(COVERAGE),-m coverage run) -m pytest $(PYTEST)
	$(if $(COVERAGE),.venv-test/bin/python -m coverage combine --quiet && .venv-test/bin/python -m coverage report)

coverage:  ## the test suite, and which lines it did not run
	$(MAKE) test COVERAGE=1

test-slow: .venv-test/installed  ## the proofs that take minutes by nature
	.venv-test/bin/python -m pytest $(PYTEST) -m slow

test-browser: .venv-test/installed  ## the page of edge-audio serve in headless Chromium (apt-get install chromium); left out where it is not
	.venv-test/bin/python -m pytest -m browser tests/edge_audio/serve

test-clients: .venv-test/installed  ## other services' own client packages against edge-audio serve and mcp; installs them first
	.venv-test/bin/python $(PIP) $(LOCK) -e '.[clients]'
	.venv-test/bin/python -m pytest -m clients tests/edge_audio

test-ray: .venv-test/installed  ## batch on a Ray cluster of two nodes, one of which is killed; installs Ray first
	.venv-test/bin/python $(PIP) $(LOCK) -e '.[ray]'
	.venv-test/bin/python -m pytest -m ray tests/edge_audio/batch/test_ray.py

test-pythons: .venv-test/installed  ## the runtime's tests, from the wheel, on every Python from 3.10 to 3.14 that is here
	.ci/pythons

test-newest:  ## the test suite with the newest of everything, whatever the lock says: for a scheduled job
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python $(PIP) --upgrade pip
	.venv-newest/bin/python $(PIP) -e '.[export,test]'
	.venv-newest/bin/python -m pip freeze --exclude-editable
	.venv-newest/bin/python -m pytest $(PYTEST)

lock:  ## constraints.txt anew, as far as pyproject.toml asks for it; LOCK_FLAGS=--upgrade for the newest; needs uv
	printf '%s\n' '$(TORCH)' $(UNSEEN) | $(UV) pip compile --quiet --universal --python-version 3.10 --no-annotate --custom-compile-command "make lock" \
		$(LOCKED:%=--extra %) $(LOCK_FLAGS) pyproject.toml - --output-file constraints.txt

fuzz: .venv-test/installed  ## damaged bundles for 45 seconds: each is refused in one line; what fails is kept in build/fuzz
	PYTHONPATH=. .venv-test/bin/python tests/properties/fuzz.py --seed 1 --seconds 45

lint: .venv-test/installed  ## style, types, the one-way rule, the forge's files, and images
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/lint-imports
	.venv-test/bin/mypy --follow-imports silent $(TYPED)
	.venv-test/bin/actionlint
	.venv-test/bin/zizmor --offline --quiet .github/workflows
	.venv-test/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	.venv-test/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	.venv-test/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	.venv-test/bin/check-jsonschema --builtin-schema vendor.compose-spec packaging/compose.yaml
	.venv-test/bin/hadolint packaging/Dockerfile

docs: .venv-docs/installed  ## the documentation site, in build/site; every warning is an error
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

figures: .venv-test/installed  ## which figures of the documents are of an older model; FIGURES="gallery ..." makes them anew
	PYTHONPATH=. .venv-test/bin/python benchmarks/figures.py $(FIGURES)

shell: .venv-test/installed  ## shell completion and the man page anew, after a change of commands or options
	PYTHONPATH=. .venv-test/bin/python packaging/shell.py

test-train: .venv-train/installed  ## the PyTorch side: parity of the modules, .ckpt files, a quick training run
	.venv-train/bin/python -m pytest tests/models/training

test-arm: .venv-test/installed  ## the published aarch64 wheels on emulated CPUs: Raspberry Pi 4, Raspberry Pi 5, one with i8mm
	EDGE_AUDIO_ARM64=build/arm64 .venv-test/bin/python -m pytest tests/arm64

test-android:  ## the Kotlin core against the Python runtime, the app compiled and packed: needs apt, npm and Java
	android_demo/check/run

pocket: .venv-train/installed  ## train the pocket model anew (hours on two cores); run again to go on after a stop
	.venv-train/bin/python -m models.training build/pocket
	cp -r build/pocket/checkpoint models/training/
	.venv-train/bin/python -m models.training.publish

bench-full: .venv-bench/installed  ## the full-size model against its peers: 50 minutes, 11 GB of memory, 8 GB of disk; let the computer rest
	test -d build/full/checkpoint || .venv-bench/bin/python -m export synth --preset sao-small --dtype f16 build/full/checkpoint
	.venv-bench/bin/python -m export build/full/checkpoint build/full/bundle --precision f32,int8 --latent-lengths 72,128 \
		--without-encoder --tokenizer models/pocket/tokenizer.model --name sao-small-synthetic
	PYTHONPATH=. .venv-bench/bin/python benchmarks/peers.py build/full/checkpoint build/full/straight
	PYTHONPATH=. .venv-bench/bin/python benchmarks/full_size.py | tee build/full/table.md

bench-sa3: .venv-bench/installed  ## Stable Audio 3 small against its peers: an hour or two, 12 GB of memory, 15 GB of disk; let it rest
	test -d build/sa3/checkpoint || .venv-bench/bin/python -m export synth --preset sa3-small build/sa3/checkpoint
	.venv-bench/bin/python -m export build/sa3/checkpoint build/sa3/bundle --precision f32,int8 --without-encoder \
		--name sa3-small-synthetic
	PYTHONPATH=. .venv-bench/bin/python benchmarks/sa3_peers.py build/sa3/checkpoint build/sa3/straight 108 174 324 388
	PYTHONPATH=. .venv-bench/bin/python benchmarks/sa3.py | tee build/sa3/table.md

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) $(LOCK) -e .
	touch $@

.venv-test/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python $(PIP) $(LOCK) -e '.[export,test,browser,lint]'
	touch $@

.venv-docs/installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python $(PIP) -e '.[docs]'
	touch $@

.venv-train/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/python $(PIP) $(LOCK) $(TORCH) -e '.[export,train,test]'
	touch $@

.venv-bench/installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(PIP) $(TORCH) -e '.[export,bench]'
	touch $@

clean:
	rm -rf .venv .venv-test .venv-docs .venv-newest .venv-train .venv-bench build android_demo/build demo.wav
