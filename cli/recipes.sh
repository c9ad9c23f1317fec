#!/bin/sh
# What jq makes of a log: `vatctl run --log FILE`, `vatctl logs -f --traffic --json >FILE`, or, of the last
# messages, `vatctl logs --traffic --json >FILE`. Every recipe runs with jq 1.6.
#
#   recipes.sh                       lists them
#   recipes.sh NAME [FILE [WHICH]]   runs one (FILE -, or none: stdin); copy what it runs from here
set -eu
name=${1:-} file=${2:--} which=${3:-}

# NAME, what it shows, and a last word when it needs one more argument: VAT, or TRACE (a trace_id).
list() {
    cat <<'LIST'
sends            messages, one a line
answers          messages and what their promises came to
vat              all that a vat sent and got                    VAT
slowest          the three deliveries that ran longest
runtimes         of each vat: deliveries, median and 99th percentile of run time, in us
waits            of each vat: the longest that a delivery waited in its queue, in us
caused           everything that one call caused                TRACE
rejections       promises that were rejected, and why
unanswered       messages whose promise was never settled
edges            how many messages went from where to where
gaps             places where lines of the log are missing
sequence         a mermaid diagram of one call                  TRACE
LIST
}

case $name in
sends)
    jq -r 'select(.type=="send") | "\(.time) \(.from)->\(.to//"-") \(.target).\(.method)\(.args) =>\(.result//"-")"' "$file" ;;
answers)
    jq -r 'select(.type=="send" or .type=="resolve")
        | [.time, .type, (.result//.promise//"-"), (.from//.vat), (.to//"-"),
           (.method//(if .rejected then "REJECTED" else "ok" end)), (.args//.value)] | @tsv' "$file" ;;
vat)
    jq -c --arg v "$which" 'select(.vat==$v or .from==$v or .to==$v)' "$file" ;;
slowest)
    jq -sc 'map(select(.type=="done")) | sort_by(-.run_us) | .[:3][] | {vat, name, delivery, kind, msg, run_us}' "$file" ;;
runtimes)
    jq -sr '[.[] | select(.type=="done")] | group_by(.vat)[] | (map(.run_us) | sort) as $r
        | [.[0].vat, .[0].name, ($r|length), $r[($r|length*0.5|floor)], $r[($r|length*0.99|floor)]] | @tsv' "$file" ;;
waits)
    jq -sr '[.[] | select(.type=="deliver")] | group_by(.vat)[] | max_by(.wait_us)
        | [.vat, .name, .delivery, .wait_us] | @tsv' "$file" ;;
caused)
    jq -c --arg t "$which" 'select(.trace_id==$t)' "$file" ;;
rejections)
    jq -r 'select(.type=="resolve" and .rejected)
        | (.value[1:] | fromjson | if type=="object" then .["#error"] else . end) as $why
        | "\(.promise) \(.vat): \($why)"' "$file" ;;
unanswered)
    jq -sr '(INDEX(.[] | select(.type=="resolve"); .promise)) as $settled
        | .[] | select(.type=="send" and .result and ($settled[.result] | not))
        | "\(.msg) \(.target).\(.method) \(.result)"' "$file" ;;
edges)
    jq -sr '[.[] | select(.type=="send")] | group_by([.from, .to])[] | [.[0].from, (.[0].to//"-"), length] | @tsv' "$file" ;;
gaps)
    jq -sr '. as $a | range(1; length) | select($a[.].seq != $a[.-1].seq + 1) | "gap after \($a[.-1].seq)"' "$file" ;;
sequence)
    echo sequenceDiagram
    jq -r --arg t "$which" 'select(.trace_id==$t)
        | if .type=="send" and .to then "  \(.from)->>\(.to): \(.method)\(.args)"
          elif .type=="resolve" and .vat!="v0" then "  Note over \(.vat): \(.promise) \(if .rejected then "rejected" else "ok" end)"
          else empty end' "$file" ;;
'') list ;;
*)
    printf 'recipes.sh: there is no "%s"\n' "$name" >&2
    list >&2
    exit 2 ;;
esac
