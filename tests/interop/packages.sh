# Sourced by the interop runs: installs what is missing without starting any service.
#
#   need PROGRAM=PACKAGE...                  a word without "=" is both
#   need_in_venv FOLDER PROGRAM PACKAGE...   of Python, in a virtual environment
#   need_unpacked PACKAGE FOLDER LIBRARY...  sets `unpacked`, the file of a package that is not installed
#   must_be_root_with_namespaces             else the run ends
#   build_waxseal                            sets WAXSEAL, unless it is set

need() {
    local missing=() word
    for word in "$@"; do
        command -v "${word%%=*}" >/dev/null || missing+=("${word##*=}")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        install_quietly "${missing[@]}"
    fi
}

install_quietly() {
    local policy=/usr/sbin/policy-rc.d # asked by package scripts before they start a service; 101 means "don't"
    local guarded=false package
    if [ ! -e "$policy" ]; then
        guarded=true
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update </dev/null
    apt-get -qq install --no-install-recommends "$@" </dev/null
    if "$guarded"; then
        rm -f "$policy"
        trap - EXIT
    fi
    # Installed for this test alone: the next boot should not start them either. Where systemd does not
    # run there is nothing to stop, and some of them are no service.
    if command -v systemctl >/dev/null; then
        for package in "$@"; do
            systemctl disable --quiet --now "$package" >/dev/null 2>&1 || true
        done
    fi
}

need_in_venv() {
    local folder=$1 program=$2
    shift 2
    if [ ! -x "$folder/bin/$program" ]; then
        # Debian keeps that module apart.
        python3 -c 'import ensurepip' 2>/dev/null || install_quietly python3-venv
        python3 -m venv --clear "$folder"
        "$folder/bin/pip" --quiet --disable-pip-version-check install "$@"
    fi
}

# The file of a package that cannot be installed beside others, in `unpacked`, and the libraries that it wants.
need_unpacked() {
    local package=$1 folder=$2 library
    shift 2
    for library in "$@"; do
        dpkg -s "$library" >/dev/null 2>&1 || install_quietly "$library"
    done
    mkdir -p "$folder"
    if ! compgen -G "$folder/${package}_*.deb" >/dev/null; then
        apt-get -qq update </dev/null
        (cd "$folder" && apt-get -qq download "$package" </dev/null)
    fi
    unpacked=$(compgen -G "$PWD/$folder/${package}_*.deb" || compgen -G "$folder/${package}_*.deb")
}

must_be_root_with_namespaces() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "$0: Postfix can only be started by root" >&2
        exit 2
    fi
    if ! unshare --net --mount true; then
        echo "$0: this machine permits no network and mount namespaces of one's own" >&2
        exit 2
    fi
}

build_waxseal() {
    if [ -z "${WAXSEAL:-}" ]; then
        cargo build --release
        WAXSEAL=${CARGO_TARGET_DIR:-target}/release/waxseal
    fi
}
