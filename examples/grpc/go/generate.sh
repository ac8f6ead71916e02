#!/bin/sh
# The messages and stubs, into pb/, by the versions of protoc's plugins that go.mod names.
set -eu
cd "$(dirname "$0")"
mkdir -p bin
go build -mod=readonly -o bin tool
packages=module=brig/examples/grpc,Magent/agent.proto=brig/examples/grpc/pb/agent
packages=$packages,Mcommon/common.proto=brig/examples/grpc/pb/common
protoc -I../../../proto --plugin=bin/protoc-gen-go --plugin=bin/protoc-gen-go-grpc \
  --go_out=. --go_opt="$packages" --go-grpc_out=. --go-grpc_opt="$packages" \
  agent/agent.proto common/common.proto
