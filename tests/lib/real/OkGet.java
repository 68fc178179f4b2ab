import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

/** Prints what a URL answers, by OkHttp: OkGet URL. */
public class OkGet {
    public static void main(String[] arguments) throws Exception {
        Request request = new Request.Builder().url(arguments[0]).build();
        try (Response answer = new OkHttpClient().newCall(request).execute()) {
            System.out.print(answer.body().string());
        }
        System.exit(0);
    }
}
