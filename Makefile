# Two commands do everything, on a machine with a Rust toolchain and Debian's package manager:
#   make demo   installs what is missing, builds, shows the main job on real databases
#   make test   installs what is missing, runs all tests
.PHONY: demo run test bench suites check install image release

demo:
	@bash benches/demo/demo

# The demo's databases and proxy, left running to play with; Ctrl-C stops them.
run:
	@bash benches/demo/demo --stay

install:
	@bash tests/testbed/install servers clients stores watching

test: install
	@bash tests/testbed/run-tests

bench:
	@bash tests/testbed/install servers
	@bash tests/testbed/install bench
	@bash benches/e2e/compare

# The servers' own tests, those that a seed draws: COUNT=0 runs all that can be run, for some hours.
COUNT ?= 40
SEED ?= 1
SUITE ?= main
WAY ?= text
suites:
	@bash tests/testbed/install servers
	@bash tests/testbed/install suites
	cargo build
	@tests/suites/servers-own --server mariadb --suite $(SUITE) --way $(WAY) --count $(COUNT) --seed $(SEED)
	@tests/suites/servers-own --server mysql --suite $(SUITE) --way $(WAY) --count $(COUNT) --seed $(SEED)

# target/optimized/millpond: built twice, the second time by what a load has shown of the first.
release:
	@bash benches/release

# The container's image, built by buildah and tried.
image:
	@bash tests/testbed/image

check:
	cargo fmt --check
	cargo clippy --all-targets --features load -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features load
