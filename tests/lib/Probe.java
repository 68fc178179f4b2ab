import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** Asks a URL COUNT times with each of Java's two clients: Probe URL COUNT. Fails unless all say ok. */
public class Probe {
    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[1]);
        for (int i = 0; i < count; i++) {
            check("HttpURLConnection", old(arguments[0]));
        }
        // As it is by default: it offers HTTP/2, and keeps connections to use them again.
        HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
        HttpRequest request =
            HttpRequest.newBuilder(URI.create(arguments[0])).timeout(Duration.ofSeconds(10)).build();
        for (int i = 0; i < count; i++) {
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            check("HttpClient", answer.statusCode() + " " + answer.body());
        }
        System.out.println(2 * count + " answers");
    }

    private static String old(String url) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setConnectTimeout(10000);
        connection.setReadTimeout(10000);
        try (InputStream body = connection.getInputStream()) {
            return connection.getResponseCode() + " " + new String(body.readAllBytes());
        }
    }

    private static void check(String who, String answer) {
        if (!answer.equals("200 ok\n")) {
            throw new IllegalStateException(who + ": " + answer);
        }
    }
}
