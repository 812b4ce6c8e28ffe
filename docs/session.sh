#!/usr/bin/env bash
# A whole session with nothing but curl and git, in the order a Deis client
# works: register, login, create, push, scale, config, domains, certificates,
# releases, rollback, people, run, logs, destroy. It stops at the first answer
# that is not the one it waits for.
#
#   API=http://slipway.localhost:8080 GIT=ssh://git@127.0.0.1:2222 docs/session.sh
#
# On a fresh platform the user becomes its administrator; on another, name an
# administrator's token in ADMIN.
set -euo pipefail
api=${API:-http://slipway.localhost:8080}
git=${GIT:-ssh://git@127.0.0.1:2222}
edge=${EDGE:-${api/slipway./}} # http://localhost:8080: apps answer below it
user=${NAME:-bob$$}
app=${APP:-session$$}
password='correct horse battery staple'
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# call STATUS METHOD PATH [BODY] asks the API as a Deis client does. The answer is in $said.
token=${ADMIN:-}
call() {
	local want=$1 method=$2 path=$3 body=${4:-} code
	code=$(curl -sS -o "$work/said" -w '%{http_code}' -X "$method" "$api$path" \
		-H 'Content-Type: application/json' ${token:+-H "Authorization: token $token"} ${body:+--data "$body"})
	said=$(cat "$work/said")
	printf '%-6s %-40s %s %.200s\n' "$method" "$path" "$code" "$said"
	[ "$code" = "$want" ] || { echo "wanted $want" >&2; exit 1; }
}
# field NAME is a text or a number of $said.
field() { sed -E "s/.*\"$1\":\"?([^\",}]*).*/\\1/" <<<"$said"; }
# holds TEXT stops unless $said has it.
holds() { [[ $said == *"$1"* ]] || { echo "wanted $1 in: $said" >&2; exit 1; }; }
# edge STATUS HOST asks the router.
edge() {
	local code
	code=$(curl -sS -o "$work/page" -w '%{http_code}' "${edge/\/\//\/\/$2.}/")
	printf 'edge   %-40s %s\n' "$2" "$code"
	[ "$code" = "$1" ] || { echo "wanted $1" >&2; exit 1; }
}

echo "== register, login"
[ -n "$token" ] || call 401 GET /v2/
call 201 POST /v2/auth/register/ "{\"username\":\"$user\",\"password\":\"$password\",\"email\":\"\"}"
token=
call 200 POST /v2/auth/login/ "{\"username\":\"$user\",\"password\":\"$password\"}"
token=$(field token)
call 200 GET /v2/auth/whoami/
ssh-keygen -q -t ed25519 -N '' -C "$user@laptop" -f "$work/key"
call 201 POST /v2/keys/ "{\"id\":\"$user@laptop\",\"public\":\"$(cat "$work/key.pub")\"}"

echo "== create, push"
call 201 POST /v2/apps/ "{\"id\":\"$app\"}"
call 200 GET /v2/apps/
cp -r "$here/examples/hello-procfile" "$work/tree"
export GIT_SSH_COMMAND="ssh -i $work/key -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F /dev/null"
export GIT_AUTHOR_NAME=$user GIT_AUTHOR_EMAIL=$user@example.com GIT_COMMITTER_NAME=$user GIT_COMMITTER_EMAIL=$user@example.com
git -C "$work/tree" init -q -b master
git -C "$work/tree" add .
git -C "$work/tree" commit -q -m first
git -C "$work/tree" push "$git/$app.git" master 2>&1
edge 200 "$app"
call 200 GET "/v2/apps/$app/builds/"

echo "== scale, restart"
call 204 POST "/v2/apps/$app/scale/" '{"web":2}'
call 200 GET "/v2/apps/$app/pods/"
holds '"count":2'
call 200 POST "/v2/apps/$app/pods/web/restart/"
edge 200 "$app"

echo "== config, limits, health checks"
call 201 POST "/v2/apps/$app/config/" '{"values":{"GREETING":"Good day"}}'
call 201 POST "/v2/apps/$app/config/" '{"memory":{"web":"128M"},"cpu":{"web":"500m"}}'
call 201 POST "/v2/apps/$app/config/" '{"healthcheck":{"web/cmd":{"livenessProbe":{"exec":{"command":["/bin/true"]}}}}}'
call 200 GET "/v2/apps/$app/config/"
holds '"GREETING":"Good day"'
curl -sS "${edge/\/\//\/\/$app.}/"
call 201 POST "/v2/apps/$app/config/" '{"values":{"GREETING":null},"healthcheck":{"web/cmd":null}}'

echo "== domains, certificates, TLS"
call 201 POST "/v2/apps/$app/domains/" "{\"domain\":\"www-$app\"}"
edge 200 "www-$app"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/C=US/O=Example/CN=$app.example.com" \
	-addext "subjectAltName=DNS:$app.example.com" -keyout "$work/tls.key" -out "$work/tls.pem" 2>"$work/openssl"
pem() { awk '{printf "%s\\n", $0}' "$1"; }
call 201 POST "/v2/apps/$app/domains/" "{\"domain\":\"$app.example.com\"}"
call 201 POST /v2/certs/ "{\"name\":\"$app\",\"certificate\":\"$(pem "$work/tls.pem")\",\"key\":\"$(pem "$work/tls.key")\"}"
call 201 POST "/v2/certs/$app/domain/" "{\"domain\":\"$app.example.com\"}"
call 201 POST "/v2/apps/$app/tls/" '{"https_enforced":true}'
edge 301 "$app"
call 201 POST "/v2/apps/$app/tls/" '{"https_enforced":false}'
call 204 DELETE "/v2/certs/$app/domain/$app.example.com"
call 204 DELETE "/v2/certs/$app"
call 204 DELETE "/v2/apps/$app/domains/www-$app"
edge 404 "www-$app"

echo "== maintenance, whitelist, labels"
call 201 POST "/v2/apps/$app/settings/" '{"maintenance":true,"label":{"team":"tools"}}'
edge 503 "$app"
call 201 POST "/v2/apps/$app/settings/" '{"maintenance":false}'
call 201 POST "/v2/apps/$app/whitelist/" '{"addresses":["192.0.2.1"]}'
edge 403 "$app"
call 204 DELETE "/v2/apps/$app/whitelist/" '{"addresses":["192.0.2.1"]}'
edge 200 "$app"

echo "== releases, rollback"
call 200 GET "/v2/apps/$app/releases/"
call 201 POST "/v2/apps/$app/releases/rollback/" '{"version":2}'
call 200 GET "/v2/apps/$app/releases/v$(field version)/"
holds "$user rolled back to v2"
edge 200 "$app"

echo "== people"
if [ -n "${ADMIN:-}" ]; then token=$ADMIN; fi
call 201 POST /v2/auth/register/ "{\"username\":\"carol-$user\",\"password\":\"$password\",\"email\":\"\"}"
[ -z "${ADMIN:-}" ] || { token=; call 200 POST /v2/auth/login/ "{\"username\":\"$user\",\"password\":\"$password\"}"; token=$(field token); }
call 201 POST "/v2/apps/$app/perms/" "{\"username\":\"carol-$user\"}"
call 200 GET "/v2/apps/$app/perms/"
holds "carol-$user"
call 204 DELETE "/v2/apps/$app/perms/carol-$user"

echo "== run, logs"
call 200 POST "/v2/apps/$app/run" '{"command":"echo hello from $DEIS_APP; exit 3"}'
holds '"exit_code":3'
call 200 GET "/v2/apps/$app/logs?log_lines=100"
holds "$user created initial release"

echo "== destroy"
call 204 DELETE "/v2/apps/$app/"
call 404 GET "/v2/apps/$app/"
edge 404 "$app"
[ -n "${ADMIN:-}" ] || call 204 DELETE /v2/auth/cancel/ "{\"username\":\"carol-$user\"}"
call 204 DELETE /v2/auth/cancel/
echo "All of it held."
