# What people, the README and CI call. Every target installs the Debian packages that it needs.

CARGO  ?= $(or $(shell command -v cargo),$(HOME)/.cargo/bin/cargo)
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help demo test test-v4l2 test-wifi test-debian13 test-peers lint fuzz bench bench-relay bench-peers bench-motion bench-recording charts soak attack test-suites sbom deb \
	apt-repository test-packages image container

help:
	@echo 'make demo       relay and one camera on this machine; prints where to sign in'
	@echo '                DEMO_PORT=8080             and the three ports after it'
	@echo '                DEMO_LISTEN=0.0.0.0        reachable from a phone, by https; then also 5349, UDP 49152-50175'
	@echo '                DEMO_CAMERA=v4l2|synthetic instead of the street scene'
	@echo '                DEMO_JSON=FILE             where to write how to reach it all'
	@echo 'make test       format, lints, all tests, the browser and the V4L2 guest included; what took how long'
	@echo '                PART="relay shared"        parts of it: lint, guest, or a package by its name'
	@echo 'make test-v4l2  the agent with a V4L2 camera, in a QEMU guest; then cameras that fail, and a QR code'
	@echo 'make test-wifi  the agent joins Wi-Fi networks by NetworkManager, in a guest with simulated radios'
	@echo 'make test-debian13  in a root of Debian 13: the main job in its browser, bad input, recorder, libcamera'
	@echo 'make test-peers  a player of gst-plugins-rs watches a camera; compiles it'
	@echo 'make test-suites  what others wrote, against our programs: schemathesis, sslyze, paho, axe …, Ceph as the store'
	@echo 'make test-packages  the packages in a guest whose init is systemd: install, kill, upgrade, purge; then arm64'
	@echo 'make soak       the tests that kill and cut power, ten times as often: some hours'
	@echo 'make fuzz       feeds what parses the bytes of strangers, FUZZ_SECONDS=60 for each target'
	@echo 'make lint       format, lints, and licences and advisories of what is depended on'
	@echo 'make attack     attacks a relay on loopback, prints a table and writes it into docs/benchmarks.md'
	@echo 'make sbom       writes what relay and agent consist of into target/sbom (CycloneDX)'
	@echo 'make deb        Debian packages of agent and relay in target/deb, for Debian 12 and 13'
	@echo '                ARCHITECTURES="amd64 arm64"  DEB_VERSION=  that of debian/changelog without it'
	@echo 'make apt-repository  a signed repository of them in target/apt, APT_KEY=FILE: the secret key'
	@echo 'make image      an image for SD cards in target/image, and what Raspberry Pi Imager wants of it'
	@echo '                STOCK=FILE  Raspberry Pi OS for arm64 (.img or .img.xz); without it Debian 13'
	@echo 'make container  an image of the relay for containers in target/container, for both architectures'
	@echo 'make bench      measures, prints a table and writes it into docs/benchmarks.md'
	@echo 'make bench-relay  the same for the doors of the relay, beside mosquitto and a plain axum server'
	@echo 'make bench-peers  the same beside webrtcsink and Janus, in one run'
	@echo 'make bench-motion  the same for the motion detector alone'
	@echo 'make bench-recording  the same for the recorder alone'
	@echo 'make charts     draws the charts of docs/benchmarks.md from its tables'

demo:
	@build/install-packages build run
	@$(if $(filter v4l2 synthetic,$(DEMO_CAMERA)),,build/fetch-street-scene $(TARGET)/media)
	@[ -e $(TARGET)/demo/nightjar-demo ] || echo \
		'The first build compiles some 450 crates: about 7 minutes on two cores, 2 GB of memory and 2 GB of disk.'
	$(CARGO) build --profile demo --bins --package nightjar-relay --package nightjar-agent --package nightjar-demo
	@$(TARGET)/demo/nightjar-demo

# build/test lints, builds, tests and says what took how long. The end-to-end tests start the
# programs themselves and leave out what is not installed, saying so.
test:
	@began=$$(date +%s); \
	build/install-packages build run test package && \
	{ build/install-packages postgresql || \
		echo 'SKIPPED on PostgreSQL: it cannot be installed here (see above); SQLite is tested.'; } && \
	{ build/install-packages v4l2 || \
		echo 'SKIPPED: the V4L2 guest, because QEMU cannot be installed here (see above).'; } && \
	build/fetch-street-scene $(TARGET)/media && \
	CARGO=$(CARGO) build/test --began $$began $(PART)

test-v4l2:
	@$(MAKE) --no-print-directory test PART=guest
	CARGO=$(CARGO) build/test --profile cameras e2e

# The real NetworkManager, in a guest with access points: nothing of it is installed here.
test-wifi:
	@build/install-packages build run test v4l2
	CARGO=$(CARGO) build/test --profile wifi e2e

# Raspberry Pi OS is Debian 13. What is built here runs there in a root of its own, and then in a guest
# with its kernel, for libcamera.
test-debian13:
	@build/install-packages build run test v4l2 debian13
	@build/fetch-street-scene $(TARGET)/media
	@build/debian13 make $(TARGET); made=$$?; \
	case $$made in \
	0) CARGO=$(CARGO) build/test --profile debian13 agent e2e && \
		CARGO=$(CARGO) build/test --profile libcamera e2e ;; \
	3) echo 'SKIPPED: Debian 13, because a root of it can be neither made nor entered (see above).' ;; \
	*) exit $$made ;; \
	esac

# Programs are compiled on Debian 12, so that they run on 12 and 13: docs/decisions/0061-packages-by-debhelper.md.
ARCHITECTURES ?= amd64 arm64
DEB_VERSION ?=

deb:
	@build/install-packages build package $(if $(filter-out $(shell dpkg --print-architecture),$(ARCHITECTURES)),arm64)
	@for architecture in $(ARCHITECTURES); do \
		programs=$$(CARGO=$(CARGO) build/compile $(TARGET) $$architecture) && \
		SYSROOT=$(TARGET)/arm64/sysroot CARGO=$(CARGO) build/deb $(TARGET) $$architecture $$programs $(DEB_VERSION) || exit 1; \
	done

# Of what `make deb` left. The key is made where APT_KEY names no file; keep it: machines trust it.
APT_KEY ?= $(TARGET)/apt-key.asc

apt-repository:
	@build/install-packages package
	@build/apt-repository $(TARGET)/apt $(APT_KEY) $(TARGET)/deb/*.deb

# Of Raspberry Pi OS where STOCK names an image of it; else of a Debian 13 that a virtual machine boots.
STOCK ?=
IMAGE_ARCHITECTURE ?= arm64

image: ARCHITECTURES := $(IMAGE_ARCHITECTURE)
image: deb
	@stock=$(STOCK); [ -n "$$stock" ] || stock=$$(build/stock-image $(TARGET) $(IMAGE_ARCHITECTURE)) || exit 1; \
	package=$$(ls -t $(TARGET)/deb/nightjar-agent_*_$(IMAGE_ARCHITECTURE).deb | head -n 1) && \
	build/image $$stock $$package $(TARGET)/image

# An archive of OCI; no daemon is asked, and no registry.
container:
	@build/install-packages build package container $(if $(filter-out $(shell dpkg --print-architecture),$(ARCHITECTURES)),arm64)
	@CARGO=$(CARGO) build/container $(TARGET) $(ARCHITECTURES)

# Packages as people install them: a Debian 13 whose init is systemd, in QEMU, from nothing to purge.
test-packages: deb
	@build/install-packages build run test package v4l2 arm64
	@CARGO=$(CARGO) build/test --profile packages e2e

# Kills, power cuts and seeds by the thousand; `make test` has them by the hundred. A failure prints its
# seed. Which tests, says .config/nextest.toml.
soak:
	@build/install-packages build run test
	CARGO=$(CARGO) NIGHTJAR_SOAK=1 NIGHTJAR_SEEDS=10000 build/test --profile soak

# Suites that others wrote, against our own programs; says SKIPPED of one that cannot be had.
test-suites:
	@build/install-packages build run test
	$(CARGO) build --workspace --bins --test docs
	@CARGO_TARGET_DIR=$(TARGET) build/test-suites
	@build/install-packages ceph
	CARGO=$(CARGO) build/test --profile suites

# What each program consists of: crates, libraries, GStreamer's packages.
sbom:
	@build/install-packages build run test
	@$$(build/install-tool cyclonedx-python-lib $(TARGET)) build/sbom $(TARGET)/sbom

# Loopback alone, bounded in count and time: about ten minutes.
attack:
	@build/install-packages build run test
	$(CARGO) build --release --workspace --bins
	$(TARGET)/release/nightjar-e2e attack

lint:
	@$(MAKE) --no-print-directory test PART=lint

# The corpus grows in fuzz/corpus from run to run. No sanitizer: what is fuzzed is safe Rust.
FUZZ_SECONDS ?= 60
FUZZ := RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none
FUZZ_LIMITS = -max_total_time=$(FUZZ_SECONDS) -timeout=5 -max_len=16384 -print_final_stats=1

fuzz:
	@build/install-packages build
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	@mkdir -p fuzz/corpus/offer fuzz/corpus/glance fuzz/corpus/mp4 fuzz/corpus/messages fuzz/corpus/passkey
	$(FUZZ) offer fuzz/corpus/offer fuzz/seeds/offer -- $(FUZZ_LIMITS)
	$(FUZZ) glance fuzz/corpus/glance fuzz/seeds/glance fuzz/seeds/offer -- $(FUZZ_LIMITS)
	$(FUZZ) mp4 fuzz/corpus/mp4 fuzz/seeds/mp4 -- $(FUZZ_LIMITS)
	$(FUZZ) passkey fuzz/corpus/passkey fuzz/seeds/passkey -- $(FUZZ_LIMITS)
	$(FUZZ) messages fuzz/corpus/messages fuzz/seeds/messages shared/tests/wire -- $(FUZZ_LIMITS)

bench:
	@build/install-packages build run test
	$(CARGO) build --release --workspace --bins
	$(TARGET)/release/nightjar-e2e bench

# Loopback alone, bounded in count and time: some six minutes.
bench-relay:
	@build/install-packages build run test bench
	@build/install-packages postgresql || echo 'SKIPPED on PostgreSQL: it cannot be installed here (see above).'
	$(CARGO) build --release --workspace --bin nightjar-relay --bin nightjar-e2e
	$(TARGET)/release/nightjar-e2e bench-relay

# What others wrote is compiled for this alone: docs/decisions/0031-peers-measured-apart.md.
PEERS := --locked --manifest-path e2e/peers/Cargo.toml --target-dir $(TARGET)

# A player that others wrote, against a relay and a camera.
test-peers:
	@build/install-packages build run test
	$(CARGO) fmt --manifest-path e2e/peers/Cargo.toml --check
	@CARGO=$(CARGO) build/deny e2e/peers/Cargo.toml
	$(CARGO) build --workspace --bins
	$(CARGO) clippy $(PEERS) --all-targets -- -D warnings
	$(CARGO) test $(PEERS)

# `make bench` draws them, too; this is for the tables that other benches write.
charts:
	@build/install-packages build
	$(CARGO) run -p nightjar-e2e -- charts

bench-peers:
	@build/install-packages build run test
	$(CARGO) build --release --workspace --bins
	$(CARGO) build --release $(PEERS)
	$(TARGET)/release/nightjar-peers bench

bench-motion:
	@build/install-packages build run
	$(CARGO) bench -p nightjar-agent --bench motion

bench-recording:
	@build/install-packages build run
	$(CARGO) bench -p nightjar-agent --bench recording
