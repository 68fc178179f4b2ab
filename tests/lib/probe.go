// Asks a URL COUNT times with Go's client, one after the other as it is by default, as kubelet
// has it (a new connection each time), and from 20 goroutines at once: probe URL COUNT. Fails
// unless all answers are ok.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

func ask(client *http.Client, url string) error {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.31")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != 200 || string(body) != "ok\n" {
		return fmt.Errorf("%s: %q", answer.Status, body)
	}
	return nil
}

func askTimes(client *http.Client, url string, count int) {
	for i := 0; i < count; i++ {
		if err := ask(client, url); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

func main() {
	url := os.Args[1]
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	byDefault := &http.Client{Timeout: 10 * time.Second}
	asKubelet := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	askTimes(byDefault, url, count)
	askTimes(asKubelet, url, count)
	var all sync.WaitGroup
	for i := 0; i < 20; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			askTimes(asKubelet, url, count/20)
			askTimes(byDefault, url, count/20)
		}()
	}
	all.Wait()
	fmt.Println(2*count+20*2*(count/20), "answers")
}
