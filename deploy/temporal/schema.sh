#!/bin/sh
# Creates Temporal's two databases and brings their schema up to this image's version. Can be repeated.
set -eu

tool() { temporal-sql-tool --plugin postgres12 --endpoint postgres --port 5432 --user temporal --database "$@"; }

for pair in temporal:temporal temporal_visibility:visibility; do
    database=${pair%:*}
    tool "$database" create-database
    tool "$database" setup-schema -v 0.0
    tool "$database" update-schema -d "/etc/temporal/schema/postgresql/v12/${pair#*:}/versioned"
done
