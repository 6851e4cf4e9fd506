# shellcheck shell=bash
# Sourced with a script's arguments. Every option is a variable that the script has given its default before:
# `--stop-stage 3`, `--stop_stage 3` and `--stop-stage=3` set stop_stage. A variable with the default `false` is a switch.
# `--set KEY=VALUE` may be repeated and is collected in SETTINGS, ready to be handed on. So may `--plugin`, which every command
# finds in TOOLKIT_PLUGINS. `--help` prints the script's opening comment. Nothing is evaluated: values may hold any character.

parse_error() { printf 'error: %s: %s; see %s --help\n' "${0##*/}" "$1" "$0" >&2; exit 2; }

PLUGINS=''
add_plugin() { # FILE.py, made absolute as recipes change folders, or package.module
    local plugin=$1
    case $plugin in
        /*) ;;
        */* | *.py) plugin=$PWD/$plugin ;;
    esac
    case $plugin in /*) [ -f "$plugin" ] || parse_error "--plugin: no such file, got '$1'" ;; esac
    PLUGINS=${PLUGINS:+$PLUGINS:}$plugin
}
while IFS= read -r -d : plugin; do [ -z "$plugin" ] || add_plugin "$plugin"; done <<<"${TOOLKIT_PLUGINS:-}:"

CLASS='^[A-Za-z0-9_.]+=([A-Za-z_][A-Za-z0-9_.]*):[A-Za-z_][A-Za-z0-9_]*$' # a part by its class, which later stages import too
SETTINGS=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        --*=*)
            option=${1%%=*} value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            ;;
    esac
    option=${1#--}
    option=${option//-/_}
    case $1 in
        --set)
            [ $# -ge 2 ] || parse_error "--set needs KEY=VALUE"
            SETTINGS=(${SETTINGS[@]+"${SETTINGS[@]}"} --set "$2")
            [[ ! $2 =~ $CLASS ]] || add_plugin "${BASH_REMATCH[1]}"
            shift 2
            continue
            ;;
        --plugin)
            [ $# -ge 2 ] || parse_error "--plugin needs FILE.py or package.module"
            add_plugin "$2"
            shift 2
            continue
            ;;
        --[a-z]*) ;;
        *) parse_error "expected an option, got '$1'" ;;
    esac
    case $option in *[!a-z_]*) parse_error "no such option, got '$1'" ;; esac
    [ -n "${!option+set}" ] || parse_error "no such option, got '$1'"
    if [ "${!option}" = false ] || [ "${!option}" = true ]; then
        value=true
        case ${2:-} in true | false) value=$2 && shift ;; esac
        printf -v "$option" %s "$value"
        shift
    else
        [ $# -ge 2 ] || parse_error "$1 needs a value"
        printf -v "$option" %s "$2"
        shift 2
    fi
done
[ -z "$PLUGINS" ] || export TOOLKIT_PLUGINS=$PLUGINS
unset option value PLUGINS CLASS
