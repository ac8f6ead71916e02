// A gRPC client that sends one request over and over, from so many callers at once, and
// prints how long each took, in milliseconds, one a line; then "total" and the seconds.
//
//	load ADDRESS METHOD REQUEST CALLERS COUNT
//	load ADDRESS idle COUNT        so many connections; it waits for the end of its input
//
// REQUEST is a file with the message as it is on the wire: no code is generated for it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	fail(err)
	return value
}

func dial(address string) *grpc.ClientConn {
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	fail(err)
	return connection
}

func idle(address string, count int) {
	for range count {
		connection := dial(address)
		connection.Connect()
		for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
			connection.WaitForStateChange(context.Background(), state)
		}
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
}

func main() {
	if len(os.Args) == 4 && os.Args[2] == "idle" {
		idle(os.Args[1], number(os.Args[3]))
		return
	}
	if len(os.Args) != 6 {
		fail(fmt.Errorf("load ADDRESS METHOD REQUEST CALLERS COUNT"))
	}
	request, err := os.ReadFile(os.Args[3])
	fail(err)
	callers, count := number(os.Args[4]), number(os.Args[5])
	connection := dial(os.Args[1])
	times := make([]float64, count)
	var next atomic.Int64
	var group sync.WaitGroup
	begun := time.Now()
	for range callers {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				i := next.Add(1) - 1
				if i >= int64(count) {
					return
				}
				var reply []byte
				call := time.Now()
				fail(connection.Invoke(context.Background(), os.Args[2], &request, &reply))
				times[i] = float64(time.Since(call).Microseconds()) / 1e3
			}
		}()
	}
	group.Wait()
	total := time.Since(begun).Seconds()
	out := bufio.NewWriter(os.Stdout)
	for _, milliseconds := range times {
		fmt.Fprintln(out, milliseconds)
	}
	fmt.Fprintln(out, "total", total)
	fail(out.Flush())
}
