// Prints what the server streams back, by gRPC for Go: grpc HOST:PORT.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// plain sends bytes as they are.
type plain struct{}

func (plain) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (plain) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (plain) Name() string                               { return "plain" }

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, err := grpc.Dial(os.Args[1], grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{})))
	if err != nil {
		return err
	}
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/egress.Demo/Say", grpc.ForceCodec(plain{}))
	if err != nil {
		return err
	}
	question, answer := []byte("demo"), []byte(nil)
	if err := stream.SendMsg(&question); err != nil {
		return err
	}
	stream.CloseSend()
	for {
		if err := stream.RecvMsg(&answer); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		fmt.Printf("%s\n", answer)
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
