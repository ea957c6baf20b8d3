#!/usr/bin/env bash
# Print the home of a Java that Spark 4 runs on (17 or 21); end with 1 and print nothing if there is none.
# Other versions are passed over, JDK 25.0.0 to 25.0.2 among them: their G1 collector corrupts memory.
set -euo pipefail

# Print the major version of the Java under $1, or nothing.
major_version() {
    local home=$1 version=""
    [[ -x $home/bin/java ]] || return 0
    if [[ -r $home/release ]]; then
        version=$(sed -n 's/^JAVA_VERSION="\([^"]*\)".*/\1/p' "$home/release")
    fi
    if [[ -z $version ]]; then
        version=$("$home/bin/java" -version 2>&1 | sed -n 's/.* version "\([^"]*\)".*/\1/p' | head -n 1) || true
    fi
    printf '%s' "${version%%[.+-]*}"
}

candidates() {
    [[ -z ${JAVA_HOME:-} ]] || printf '%s\n' "$JAVA_HOME"
    local java
    if java=$(command -v java); then
        java=$(readlink -f "$java" 2>/dev/null || printf '%s' "$java")
        printf '%s\n' "${java%/bin/java}"
    fi
    printf '%s\n' /usr/lib/jvm/* /opt/java/* /opt/jdk* "${HOME:-/}"/.sdkman/candidates/java/* \
        /Library/Java/JavaVirtualMachines/*/Contents/Home \
        /opt/homebrew/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home \
        /usr/local/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home
}

while IFS= read -r home; do
    case $(major_version "$home") in
        17 | 21)
            printf '%s\n' "$home"
            exit 0
            ;;
    esac
done < <(candidates)
exit 1
