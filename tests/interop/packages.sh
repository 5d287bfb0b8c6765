# Sourced by the interop runs: installs what is missing without starting any service.
#
#   need PROGRAM=PACKAGE...     a word without "=" is both

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
