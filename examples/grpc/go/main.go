// client ADDRESS < PROGRAM: run a Python program by AgentService.ExecuteTask.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"brig/examples/grpc/pb/agent"
	"brig/examples/grpc/pb/common"
)

const interpreter = "/opt/wasm-interpreters/python-3.11.4.wasm"

func requestFor(program string) (*agent.ExecuteTaskRequest, error) {
	parameters, err := structpb.NewStruct(map[string]any{
		"tool_parameters": map[string]any{
			"tool":      "code_executor",
			"wasm_path": interpreter,
			"stdin":     program,
			"argv":      []any{"python", "-c", "import sys; exec(sys.stdin.read())"},
		},
	})
	if err != nil {
		return nil, err
	}
	return &agent.ExecuteTaskRequest{
		Query:          "Execute Python code",
		Context:        parameters,
		Mode:           common.ExecutionMode_EXECUTION_MODE_SIMPLE,
		AvailableTools: []string{"code_executor"},
		Metadata:       &common.TaskMetadata{TaskId: "example", UserId: "ada", SessionId: "notebook"},
		SessionContext: &agent.SessionContext{SessionId: "notebook", UserId: "ada"},
		Config:         &agent.AgentConfig{TimeoutSeconds: 20},
	}, nil
}

func run(address string) error {
	program, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	request, err := requestFor(string(program))
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	reply, err := agent.NewAgentServiceClient(connection).ExecuteTask(ctx, request)
	if err != nil {
		return err
	}
	if reply.Status != common.StatusCode_STATUS_CODE_OK {
		return errors.New(reply.ErrorMessage)
	}
	fmt.Print(reply.Result)
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: client ADDRESS < PROGRAM")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
